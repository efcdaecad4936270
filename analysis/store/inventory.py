"""Which rows of `runs/` count at one moment, and which files to read for them. Opens no file."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from analysis.store.left_out import LeftOut
from analysis.store.schema import FIRST_VERSION, SCHEMA_VERSION, TABLES, TIMESTAMP

WRITTEN_AT: Final = "store_written_at"
FILES: Final = "store_files"
BOOKKEEPING: Final = (pa.field(WRITTEN_AT, TIMESTAMP), pa.field(FILES, pa.list_(pa.string())))
"""Columns of `runs/` beyond the schema: when the row was written, and the files of its visits, trials and samples."""

CHILDREN: Final = tuple(table for table in TABLES if table != "runs")

PACKED: Final = "packed-"
"""Prefix of the names of files with many runs."""

_CHILD: Final = re.compile(rf"(?:{'|'.join(CHILDREN)})/[A-Za-z0-9][A-Za-z0-9._-]*\.[0-9a-f]{{16}}\.parquet")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a child table.

    Attributes:
        name: with its folder.
        version: the schema version of its rows.
        only: the runs whose rows count; None: all of its rows do.
    """

    name: str
    version: int
    only: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One row of `runs/`.

    Attributes:
        name: the file of the row.
        run_id: the run.
        version: the schema version of the run's rows.
        written_at: when the row was written.
        children: the files of the run's visits, trials and samples.
    """

    name: str
    run_id: str
    version: int
    written_at: datetime
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a store has at one moment.

    Attributes:
        runs: the rows that count, by schema version.
        parts: for each child table, the files to read.
        entries: every row found in `runs/`.
        counting: those of the entries that count.
        left_out: the runs that don't count, and why.
    """

    runs: Mapping[int, pa.Table]
    parts: Mapping[str, tuple[StoredFile, ...]]
    entries: tuple[RunEntry, ...]
    counting: frozenset[RunEntry]
    left_out: tuple[LeftOut, ...] = ()


Found = Sequence[tuple[str, pa.Table]]


def select_runs(
    found: Found, damaged: Iterable[LeftOut] = (), faults: Mapping[str, str] = MappingProxyType({})
) -> Inventory:
    """Select the rows that count: of each run the one written last, unless a file that it names is damaged.

    Args:
        found: each file of `runs/` with its rows.
        damaged: the files of `runs/` that can't be used. Their runs don't count, not even by an earlier row.
        faults: what is wrong with files of the child tables, by name. Their runs don't count.

    Returns:
        The inventory; the `file` of each run left out is a name in the store.
    """
    read = [one for name, table in found for one in _read_rows(name, table)]
    entries = [one for one in read if isinstance(one, RunEntry)]
    left_out = [*damaged, *(one for one in read if isinstance(one, LeftOut))]
    last: dict[str, RunEntry] = {}
    for entry in entries:
        last[entry.run_id] = max(last.get(entry.run_id, entry), entry, key=lambda e: (e.written_at, e.name))
    excluded = {one.run_id for one in left_out}
    left_out += [one for entry in last.values() if entry.run_id not in excluded and (one := _fault(entry, faults))]
    excluded = {one.run_id for one in left_out}
    counting = {run_id: entry for run_id, entry in last.items() if run_id not in excluded}
    return Inventory(
        runs=_rows(found, counting),
        parts=_parts(entries, counting.values()),
        entries=tuple(entries),
        counting=frozenset(counting.values()),
        left_out=tuple(left_out),
    )


def _read_rows(name: str, table: pa.Table) -> list[RunEntry | LeftOut]:
    """The rows of a file of `runs/`; an invalid one gives what is wrong with it."""
    try:
        rows = table.select(["run_id", "schema_version", WRITTEN_AT, FILES]).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return [LeftOut(None, name, f"has invalid values ({error})")]
    times = Counter(row["run_id"] for row in rows)
    return [_read_row(name, row, times[row["run_id"]]) for row in rows]


def _read_row(name: str, row: Mapping[str, Any], times: int) -> RunEntry | LeftOut:
    run_id, version, written_at, children = row["run_id"], row["schema_version"], row[WRITTEN_AT], row[FILES]
    if not isinstance(run_id, str) or not run_id:
        return LeftOut(None, name, "has a row that names no run")
    if times > 1:
        return LeftOut(run_id, name, f"has {times} rows for it")
    if not isinstance(version, int) or not isinstance(written_at, datetime) or not isinstance(children, list):
        return LeftOut(run_id, name, "has a row that lacks its version, its time or the names of its files")
    if odd := [child for child in children if not isinstance(child, str) or not _CHILD.fullmatch(child)]:
        return LeftOut(run_id, name, f"names a file {odd[0]!r} that can't be one of the store")
    return RunEntry(name, run_id, version, written_at, tuple(children))


def _fault(entry: RunEntry, faults: Mapping[str, str]) -> LeftOut | None:
    if entry.version > SCHEMA_VERSION:
        why = (
            f"was written by a newer version of this program (schema version {entry.version}; this one knows versions "
            f"up to {SCHEMA_VERSION})"
        )
        return LeftOut(entry.run_id, entry.name, why, "Use that to read it; all other runs are shown.")
    if entry.version < FIRST_VERSION:
        why = f"has rows of schema version {entry.version}; this program knows versions from {FIRST_VERSION}"
        return LeftOut(entry.run_id, entry.name, why, "Read it with an older program; all other runs are shown.")
    return next((LeftOut(entry.run_id, child, faults[child]) for child in entry.children if child in faults), None)


def _rows(found: Found, counting: Mapping[str, RunEntry]) -> dict[int, pa.Table]:
    rows: dict[int, list[pa.Table]] = defaultdict(list)
    for name, table in found:
        names = table["run_id"].to_pylist()
        keep = [run_id in counting and counting[run_id].name == name for run_id in names]
        kept = table.filter(pa.array(keep, pa.bool_())).drop_columns([WRITTEN_AT, FILES])
        for version in pc.unique(kept["schema_version"]).to_pylist():
            rows[version].append(kept.filter(pc.equal(kept["schema_version"], version)))
    return {version: pa.concat_tables(tables, promote_options="permissive") for version, tables in rows.items()}


def _parts(entries: Iterable[RunEntry], counting: Iterable[RunEntry]) -> dict[str, tuple[StoredFile, ...]]:
    runs_of: dict[str, set[str]] = defaultdict(set)
    complete: set[str] = set()  # the files of which a row of `runs/` for each of their runs is known
    for entry in entries:
        for child in entry.children:
            runs_of[child].add(entry.run_id)
            if is_packed(entry.name) == is_packed(child):
                complete.add(child)
    live: dict[str, set[str]] = defaultdict(set)
    versions: dict[str, int] = {}
    for entry in counting:
        for child in entry.children:
            live[child].add(entry.run_id)
            versions[child] = entry.version
    parts: dict[str, list[StoredFile]] = {table: [] for table in CHILDREN}
    for child in sorted(live):
        only = None if live[child] == runs_of[child] and child in complete else tuple(sorted(live[child]))
        parts[child.partition("/")[0]].append(StoredFile(child, versions[child], only))
    return {table: tuple(files) for table, files in parts.items()}


def is_packed(name: str) -> bool:
    """Whether a file of the store, named with its folder, has many runs."""
    return f"/{PACKED}" in name
