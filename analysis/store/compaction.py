"""Packing: of the runs that a store has had for a while, one file a table has many, instead of one a run and table.

Whoever stores a run packs, after it: `Store.write_tables`. Runs of one environment and schema version share files, so
that a question about an environment opens those of no other. Once eight files of like size have gathered, their rows,
visits and trials are merged into one, so the number of files grows with the logarithm of the runs; samples, a hundred
times as many, stay where they were packed first. A query over a thousand nights then opens some dozen files.

New files are written first, the rows of `runs/` after all others, and what they replace is deleted at the end. A kill
at any moment loses nothing and shows nothing twice, since of a run's rows only the last one counts.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from math import log
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from analysis.errors import DamagedFileError, Problem
from analysis.store.files.parquet import (
    content_digest,
    read_runs,
    read_table,
    to_parquet,
    undecodable,
)
from analysis.store.index.inventory import Inventory
from analysis.store.index.names import CHILDREN, PACKED, file_name, is_packed, run_of_file
from analysis.store.index.run_entries import FILES, RunEntry
from analysis.store.integrity.audit import ALWAYS, WHOLE, Extent, audit
from analysis.store.integrity.stock import read_rows
from analysis.store.integrity.unnamed import REST_S, runs_in, unreferenced_files
from analysis.store.storage.object_storage import ObjectStorage

PACK_AT: Final = 32
"""Most runs are packed once so many have files of their own."""

KEEP_LOOSE: Final = 8
"""So many of the runs written last are not packed: they are often written again, with their verdict."""

MERGE_AT: Final = 8
"""So many packs of like size are merged."""

ROW_GROUP: Final = {"visits": 8192, "trials": 8192, "samples": 65536}
"""Rows of a group; few enough that a query for some runs skips groups, and that several threads share a file."""

PROMOTE: Final = {"promote_options": "permissive"}
"""For joining tables whose files differ by a column: what one lacks is null."""

PackKind = tuple[int, str | None]
"""What the runs of a pack have in common: schema version and environment."""


def compact(
    files: ObjectStorage, pack_at: int = PACK_AT, keep_loose: int = KEEP_LOOSE, merge_at: int = MERGE_AT
) -> int:
    """Pack the runs of a store if so many (`pack_at`) have files of their own. The caller holds the store's lock.

    So many of the runs written last are left as they are (`keep_loose`), and so many packs of like size are merged
    (`merge_at`). Returns how many runs were packed that had files of their own.

    Raises:
        Unsupported: the store can't be read or written.
    """
    if sum(run_of_file(file.name) is not None for file in files.list("runs")) < pack_at:
        return 0
    stock = read_rows(files)
    loose = _loose(files, stock, keep_loose)
    # What is damaged stays as it is, so that its run can be repaired; in a packed copy the damage would be hidden.
    packed = _pack(files, stock, loose, {child for entry in loose for child in entry.children}, WHOLE)
    stock = read_rows(files)
    for entries in _mergeable(files, stock, merge_at):
        stale = _with_stale_rows(stock, entries)
        joined = {c for entry in entries for c in entry.children if c in stale or c.partition("/")[0] in ALWAYS}
        _pack(files, stock, entries, joined, WHOLE if stale else Extent(ALWAYS, ALWAYS))
    _sweep(files)
    return packed


def _loose(files: ObjectStorage, stock: Inventory, keep_loose: int) -> list[RunEntry]:
    """The entries with rows of their own to pack: more than one of a kind."""
    own = [entry for entry in stock.counting if not is_packed(entry.name)]
    earlier = sorted(own, key=lambda entry: entry.written_at)[: max(0, len(own) - keep_loose)]
    kinds = _by_kind(_environments(stock), _rested(files, earlier))
    return [entry for entries in kinds.values() if len(entries) > 1 for entry in entries]


def _rested(files: ObjectStorage, entries: Iterable[RunEntry]) -> list[RunEntry]:
    """Those that may be packed: a bucket has no lock, so there only what nobody has written for an hour."""
    before = datetime.now(UTC) - timedelta(seconds=REST_S)
    return [entry for entry in entries if files.local or entry.written_at < before]


def _environments(stock: Inventory) -> dict[str, str | None]:
    """Of all runs, by their ids."""
    environments: dict[str, str | None] = {}
    for rows in stock.runs.values():
        names = rows["environment"].to_pylist() if "environment" in rows.column_names else [None] * rows.num_rows
        environments.update(zip(rows["run_id"].to_pylist(), names, strict=True))
    return environments


def _by_kind(environments: Mapping[str, str | None], entries: Iterable[RunEntry]) -> dict[PackKind, list[RunEntry]]:
    kinds: dict[PackKind, list[RunEntry]] = defaultdict(list)
    for entry in entries:
        kinds[entry.version, environments[entry.run_id]].append(entry)
    return kinds


def _mergeable(files: ObjectStorage, stock: Inventory, merge_at: int) -> list[list[RunEntry]]:
    """The entries of packs that are to be merged: enough of like size and kind."""
    entries_of: dict[str, list[RunEntry]] = defaultdict(list)
    for entry in stock.counting:
        if is_packed(entry.name):
            entries_of[entry.name].append(entry)
    alike: dict[tuple[int, frozenset[PackKind]], list[str]] = defaultdict(list)
    environments = _environments(stock)
    for name, entries in sorted(entries_of.items()):
        if len(_rested(files, entries)) == len(entries):
            alike[int(log(len(entries), MERGE_AT)), frozenset(_by_kind(environments, entries))].append(name)
    return [[e for name in names for e in entries_of[name]] for names in alike.values() if len(names) >= merge_at]


def _with_stale_rows(stock: Inventory, entries: Iterable[RunEntry]) -> set[str]:
    """The files of these packs in which runs have rows that were written again since.

    A merge drops the old rows of `runs/` that tell which they are.
    """
    names = {entry.name for entry in entries}
    replaced = (entry for entry in stock.entries if entry.name in names and entry not in stock.counting)
    return {child for entry in replaced for child in entry.children}


def _pack(
    files: ObjectStorage, stock: Inventory, entries: Sequence[RunEntry], joined: Collection[str], extent: Extent
) -> int:
    """Pack those of these runs whose files are sound and can be joined; returns how many they are.

    `joined`: those of their files whose rows go into new ones. `extent`: what of their files is checked before.
    """
    checked = audit(files, entries, extent)
    bad = checked.faults.keys() | checked.gone
    schemas = {name: one.schema for name, one in checked.sound.items()}
    sound = sorted((entry for entry in entries if bad.isdisjoint(entry.children)), key=lambda entry: entry.run_id)
    packed: list[RunEntry] = []
    for (version, _), found in _by_kind(_environments(stock), sound).items():
        write = partial(_write_pack, files, version, joined=joined, schemas=schemas)
        # a FileNotFoundError: another process packed or rewrote one of them; the next write tries again
        with contextlib.suppress(FileNotFoundError):
            try:
                packed += write(found)
            except DamagedFileError:
                packed += write(_decodable(files, found, joined))
    for name in _replaced_rows(stock, packed):
        files.delete(name)
    if files.local:  # in a bucket a writer may just now name them in a new row; there the sweep takes them, later
        _delete_replaced(files, joined)
    return len(packed)


def _replaced_rows(stock: Inventory, packed: Iterable[RunEntry]) -> set[str]:
    """The files of `runs/` all of whose rows are packed now, or were replaced by rows that count."""
    done, counting = set(packed), {entry.run_id for entry in stock.counting}
    names = {entry.name for entry in done}
    kept = {e.name for e in stock.entries if e not in done and (e in stock.counting or e.run_id not in counting)}
    return names - kept - {one.file for one in stock.left_out}


def _joinable(entries: Sequence[RunEntry], schemas: Mapping[str, pa.Schema]) -> list[RunEntry]:
    """The runs whose files can be joined: unknown columns, of newer programs, may have types that don't agree."""
    joined: dict[str, pa.Schema] = {}
    chosen = []
    for entry in entries:
        own = {name.partition("/")[0]: schemas[name] for name in (entry.name, *entry.children) if name in schemas}
        with contextlib.suppress(pa.ArrowException):
            joined |= {t: pa.unify_schemas([joined.get(t, schema), schema], **PROMOTE) for t, schema in own.items()}
            chosen.append(entry)
    return chosen


def _decodable(files: ObjectStorage, found: Sequence[RunEntry], joined: Collection[str]) -> list[RunEntry]:
    """Those of these runs whose files can be decoded to their end, which no audit tries."""
    bad = undecodable(files, sorted({child for entry in found for child in entry.children if child in joined}))
    return [entry for entry in found if bad.keys().isdisjoint(entry.children)]


def _write_pack(
    files: ObjectStorage,
    version: int,
    found: Sequence[RunEntry],
    joined: Collection[str],
    schemas: Mapping[str, pa.Schema],
) -> list[RunEntry]:
    """Write a pack of those of these runs that can be joined, its row last; returns them."""
    if not found:
        return []
    rows_of = dict(read_runs(files, sorted({entry.name for entry in found})))
    entries = _joinable(found, {**schemas, **{name: rows.schema for name, rows in rows_of.items()}})
    stem = f"{PACKED}{len(entries)}-runs-v{version}"
    names: dict[str, str] = {}
    for table in CHILDREN:
        runs_of: dict[str, list[str]] = defaultdict(list)
        for entry in entries:
            for child in entry.children:
                if child in joined and child.startswith(f"{table}/"):
                    runs_of[child].append(entry.run_id)
        if runs_of:
            content = to_parquet(_row_groups(files, runs_of, schemas, ROW_GROUP[table]))
            name = file_name(table, stem, content_digest(content))
            files.put(name, content)
            names |= dict.fromkeys(runs_of, name)
    rows = [rows_of[entry.name].filter(pc.equal(rows_of[entry.name]["run_id"], entry.run_id)) for entry in entries]
    whole = pa.concat_tables(rows, **PROMOTE)
    place = whole.column_names.index(FILES)
    children = [sorted(names.get(child, child) for child in entry.children) for entry in entries]
    content = to_parquet([whole.set_column(place, FILES, pa.array(children, pa.list_(pa.string())))])
    files.put(file_name("runs", stem, content_digest(content)), content)
    return entries


def _delete_replaced(files: ObjectStorage, children: Collection[str]) -> None:
    """Delete the files from which a pack was made, but none that has a run whose row is lost."""
    stock = read_rows(files)
    named_now = {child for entry in stock.entries for child in entry.children}
    whole = {entry.run_id for entry in stock.counting}
    for child in sorted(set(children) - named_now):
        if runs_in(files, child) <= whole:
            files.delete(child)


def _row_groups(
    files: ObjectStorage, runs_of: Mapping[str, Sequence[str]], schemas: Mapping[str, pa.Schema], least_rows: int
) -> Iterator[pa.Table]:
    """The rows of these runs in groups of so many rows or more, all with one schema: files may differ by a column.

    `runs_of`: the files to read, and of each the runs whose rows are wanted; a packed file has others as well.
    """
    schema = pa.unify_schemas([schemas[name] for name in runs_of], **PROMOTE)
    waiting: list[pa.Table] = [schema.empty_table()]
    for name, runs in runs_of.items():
        table = read_table(files, name)
        if is_packed(name):
            table = table.filter(pc.is_in(table["run_id"], pa.array(runs, pa.string())))
        waiting.append(table)
        if sum(table.num_rows for table in waiting) >= least_rows:
            yield pa.concat_tables(waiting, **PROMOTE)
            waiting = [schema.empty_table()]
    if len(waiting) > 1:
        yield pa.concat_tables(waiting, **PROMOTE)


def _sweep(files: ObjectStorage) -> None:
    """Delete what killed writers left: replaced files, and half-written ones. In a bucket, all that packing replaced.

    A file of a run without a sound row is kept: it may be all that is left of what was measured.
    """
    stock = read_rows(files)
    entries = {entry.run_id: entry for entry in stock.counting}
    before_s = time.time() - REST_S
    runs_of: dict[str, frozenset[str]] = {}
    for name, file in unreferenced_files(files, stock).items():
        with contextlib.suppress(Problem, FileNotFoundError):
            if file.modified_s < before_s and (runs := runs_in(files, name)) and runs <= entries.keys():
                runs_of[name] = runs
    replaced = [entries[run_id] for run_id in frozenset().union(*runs_of.values())]
    checked = audit(files, replaced, WHOLE)
    bad = checked.faults.keys() | checked.gone
    if not files.local:  # a writer who read the former row may just now name a file again that was replaced
        bad |= {f"{t}/{file.name}" for t in CHILDREN for file in files.list(t) if file.modified_s >= before_s}
    whole = {entry.run_id for entry in replaced if bad.isdisjoint(entry.children)}
    for name, runs in runs_of.items():
        if runs <= whole:
            files.delete(name)
    for table in ("runs", *CHILDREN):
        files.sweep_temporary(table, REST_S)
