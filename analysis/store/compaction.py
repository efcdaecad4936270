"""Packing: once a store has many runs, most of them become one file a table instead of one a run and table.

A query over a thousand nights then opens some dozen files. The packed rows of `runs/` are written last, and the files
that they replace are deleted after that, so a kill at any moment loses nothing.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from analysis.errors import Problem
from analysis.store.integrity.audit import EVERY, audit
from analysis.store.integrity.stock import read_rows
from analysis.store.integrity.unnamed import REST_S, runs_in, unreferenced_files
from analysis.store.inventory import Inventory
from analysis.store.names import CHILDREN, PACKED, file_name, is_packed, run_of_file
from analysis.store.object_storage import ObjectStorage
from analysis.store.parquet import (
    content_digest,
    read_runs,
    read_table,
    to_parquet,
)
from analysis.store.run_entries import FILES, RunEntry

PACK_AT: Final = 64
"""Most runs are packed once so many have files of their own."""

KEEP_LOOSE: Final = 8
"""So many of the runs written last are not packed: they are often written again, with their verdict."""

ROW_GROUP: Final = 65536
"""Rows of a group; small enough that a query for one run skips the others."""

PROMOTE: Final = {"promote_options": "permissive"}
"""For joining tables whose files differ by a column: what one lacks is null."""


def compact(files: ObjectStorage, pack_at: int = PACK_AT, keep_loose: int = KEEP_LOOSE) -> int:
    """Pack the runs of a store if there are enough of them. The caller holds the store's lock.

    Args:
        files: the store's.
        pack_at: leave it if fewer runs than this have files of their own.
        keep_loose: how many of the runs written last to leave as they are.

    Returns:
        How many runs were packed.

    Raises:
        Unsupported: the store can't be read or written.
    """
    if sum(run_of_file(file.name) is not None for file in files.list("runs")) < pack_at:
        return 0
    stock = read_rows(files)
    # What is damaged stays as it is, so that its run can be repaired; in a packed copy the damage would be hidden.
    checked = audit(files, stock.counting, EVERY)
    bad = checked.faults.keys() | checked.gone
    packed = 0
    for version, entries in _chosen(stock, bad, keep_loose, files.local).items():
        try:
            packed += _pack(files, version, entries, checked.schemas)
        except FileNotFoundError:
            continue  # another process packed or rewrote one of them; the next write tries again
    _sweep(files)
    return packed


def _chosen(
    stock: Inventory,
    bad: AbstractSet[str],
    keep_loose: int,
    local: bool,  # noqa: FBT001 - files.local
) -> dict[int, list[RunEntry]]:
    """The entries to pack, by schema version, by run."""
    loose = sorted(
        (entry for entry in stock.counting if run_of_file(entry.name.partition("/")[2]) is not None),
        key=lambda entry: entry.written_at,
    )
    rested = datetime.now(UTC) - timedelta(seconds=REST_S)
    chosen: dict[int, list[RunEntry]] = defaultdict(list)
    for entry in loose[: max(0, len(loose) - keep_loose)]:
        # A bucket has no lock, so only what nobody has written for an hour is packed there.
        if (local or entry.written_at < rested) and bad.isdisjoint(entry.children):
            chosen[entry.version].append(entry)
    return {version: sorted(found, key=lambda e: e.run_id) for version, found in chosen.items() if len(found) > 1}


def _joinable(entries: Sequence[RunEntry], schemas: Mapping[str, pa.Schema]) -> list[RunEntry]:
    """The runs whose files can be joined: unknown columns, of newer programs, may have types that don't agree."""
    joined: dict[str, pa.Schema] = {}
    chosen = []
    for entry in entries:
        own = {name.partition("/")[0]: schemas[name] for name in (entry.name, *entry.children)}
        with contextlib.suppress(pa.ArrowException):
            joined |= {t: pa.unify_schemas([joined.get(t, schema), schema], **PROMOTE) for t, schema in own.items()}
            chosen.append(entry)
    return chosen


def _pack(files: ObjectStorage, version: int, found: Sequence[RunEntry], schemas: Mapping[str, pa.Schema]) -> int:
    """Pack those of these runs that can be joined; returns how many they are."""
    rows_of = dict(read_runs(files, [entry.name for entry in found]))
    entries = _joinable(found, {**schemas, **{name: rows.schema for name, rows in rows_of.items()}})
    stem = f"{PACKED}{len(entries)}-runs-v{version}"
    packs: dict[str, bytes] = {}
    for table in CHILDREN:
        runs_of: dict[str, list[str]] = defaultdict(list)
        for entry in entries:
            for child in entry.children:
                if child.startswith(f"{table}/"):
                    runs_of[child].append(entry.run_id)
        if runs_of:
            content = to_parquet(_row_groups(files, runs_of, schemas))
            packs[file_name(table, stem, content_digest(content))] = content
    rows = [rows_of[entry.name].filter(pc.equal(rows_of[entry.name]["run_id"], entry.run_id)) for entry in entries]
    whole = pa.concat_tables(rows, **PROMOTE)
    place = whole.column_names.index(FILES)
    children = pa.array([sorted(packs)] * whole.num_rows, pa.list_(pa.string()))
    content = to_parquet([whole.set_column(place, FILES, children)])
    for name, pack_content in packs.items():
        files.put(name, pack_content)
    files.put(file_name("runs", stem, content_digest(content)), content)
    for entry in entries:
        files.delete(entry.name)
    _delete_replaced(files, {child for entry in entries for child in entry.children})
    return len(entries)


def _delete_replaced(files: ObjectStorage, children: Collection[str]) -> None:
    """Delete the files from which a pack was made, but none that has a run whose row is lost."""
    stock = read_rows(files)
    named_now = {child for entry in stock.entries for child in entry.children}
    whole = {entry.run_id for entry in stock.counting}
    for child in sorted(set(children) - named_now):
        if runs_in(files, child) <= whole:
            files.delete(child)


def _row_groups(
    files: ObjectStorage, runs_of: Mapping[str, Sequence[str]], schemas: Mapping[str, pa.Schema]
) -> Iterator[pa.Table]:
    """The rows of these runs in groups, all with one schema: files may differ by a column.

    Args:
        files: the store's.
        runs_of: the files to read, and of each the runs whose rows are wanted; a packed file has others as well.
        schemas: of these files.
    """
    schema = pa.unify_schemas([schemas[name] for name in runs_of], **PROMOTE)
    waiting: list[pa.Table] = [schema.empty_table()]
    for name, runs in runs_of.items():
        table = read_table(files, name)
        if is_packed(name):
            table = table.filter(pc.is_in(table["run_id"], pa.array(runs, pa.string())))
        waiting.append(table)
        if sum(table.num_rows for table in waiting) >= ROW_GROUP:
            yield pa.concat_tables(waiting, **PROMOTE)
            waiting = [schema.empty_table()]
    if len(waiting) > 1:
        yield pa.concat_tables(waiting, **PROMOTE)


def _sweep(files: ObjectStorage) -> None:
    """Delete what killed writers left: replaced files, and half-written ones.

    A file of a run without a sound row is kept: it may be all that is left of what was measured.
    """
    stock = read_rows(files)
    entries = {entry.run_id: entry for entry in stock.counting}
    now = time.time()
    for name, file in unreferenced_files(files, stock).items():
        if now - file.modified_s <= REST_S:
            continue
        with contextlib.suppress(Problem, FileNotFoundError):
            runs = runs_in(files, name)
            if runs and runs <= entries.keys() and _are_whole(files, [entries[run_id] for run_id in runs]):
                files.delete(name)
    for table in ("runs", *CHILDREN):
        files.sweep_temporary(table, REST_S)


def _are_whole(files: ObjectStorage, entries: Sequence[RunEntry]) -> bool:
    checked = audit(files, entries, EVERY)
    return not checked.faults and not checked.gone
