"""What a store holds at one moment: which rows of `runs/` count, and which files to read for them. Touches no file."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from analysis.store.left_out import LeftOut
from analysis.store.schema import SCHEMA_VERSION, TABLES, TIMESTAMP

WRITTEN_AT: Final = "store_written_at"
FILES: Final = "store_files"
BOOKKEEPING: Final = (pa.field(WRITTEN_AT, TIMESTAMP), pa.field(FILES, pa.list_(pa.string())))
"""What a row of `runs/` has beyond the schema: when it was put, and the files of its visits, trials and samples."""

CHILDREN: Final = tuple(table for table in TABLES if table != "runs")

PACKED: Final = "packed-"
"""How the names of files begin that hold many runs."""

_CHILD: Final = re.compile(rf"(?:{'|'.join(CHILDREN)})/[A-Za-z0-9][A-Za-z0-9._-]*\.[0-9a-f]{{16}}\.parquet")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a child table, the schema version of its rows, and its own schema where that was looked at.

    `only`: the runs whose rows count; None: all of its rows do.
    """

    name: str
    version: int
    only: tuple[str, ...] | None
    schema: pa.Schema | None = None


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One row found in `runs/`: the file it lies in, its run and version, when it was put, the files that it names."""

    name: str
    run_id: str
    version: int
    written_at: datetime
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExcludedRun:
    """Why a run does not count though something of it is there. `run_id`: None where the run's name is not known.

    `name`: the file at fault. `why`: what is wrong with it, as a clause. `remedy`: what to do, where that is known.
    """

    run_id: str | None
    name: str
    why: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a store holds at one moment.

    `runs`: the rows that count, by schema version. `parts`: for each child table, the files to read. `entries`: every
    row found in `runs/`; `counting`: those of them that count. `blocked`: what does not count, and why; `left_out`:
    the same for a person.
    """

    runs: Mapping[int, pa.Table]
    parts: Mapping[str, tuple[StoredFile, ...]]
    entries: tuple[RunEntry, ...]
    counting: frozenset[RunEntry]
    blocked: tuple[ExcludedRun, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


Found = Sequence[tuple[str, pa.Table]]


def select_runs(
    found: Found,
    damaged: Iterable[ExcludedRun] = (),
    faults: Mapping[str, str] = MappingProxyType({}),
) -> Inventory:
    """Find out what counts: of the rows of one run the one written last, if all is well with it.

    Args:
        found: each file of `runs/` with its rows.
        damaged: the files of `runs/` that can't be used. Their runs don't count, not even by an earlier row.
        faults: what is wrong with files of the child tables, by name. The runs that they hold don't count.
    """
    read = [one for name, table in found for one in _read_rows(name, table)]
    entries = [one for one in read if isinstance(one, RunEntry)]
    blocked = [*damaged, *(one for one in read if isinstance(one, ExcludedRun))]
    last: dict[str, RunEntry] = {}
    for entry in entries:
        last[entry.run_id] = max(last.get(entry.run_id, entry), entry, key=lambda e: (e.written_at, e.name))
    gone = {one.run_id for one in blocked}
    blocked += [one for entry in last.values() if entry.run_id not in gone and (one := _fault(entry, faults))]
    gone = {one.run_id for one in blocked}
    counting = {run_id: entry for run_id, entry in last.items() if run_id not in gone}
    return Inventory(
        runs=_rows(found, counting),
        parts=_parts(entries, counting.values()),
        entries=tuple(entries),
        counting=frozenset(counting.values()),
        blocked=tuple(blocked),
    )


def _read_rows(name: str, table: pa.Table) -> list[RunEntry | ExcludedRun]:
    """The rows of a file of `runs/`; where one makes no sense, that is said in its stead."""
    try:
        rows = table.select(["run_id", "schema_version", WRITTEN_AT, FILES]).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return [ExcludedRun(None, name, f"has values that make no sense ({error})")]
    seen = Counter(row["run_id"] for row in rows)
    return [_read_row(name, row, seen[row["run_id"]]) for row in rows]


def _read_row(name: str, row: Mapping[str, Any], times: int) -> RunEntry | ExcludedRun:
    run_id, version, written_at, children = row["run_id"], row["schema_version"], row[WRITTEN_AT], row[FILES]
    if not isinstance(run_id, str) or not run_id:
        return ExcludedRun(None, name, "has a row that names no run")
    if times > 1:
        return ExcludedRun(run_id, name, f"has {times} rows for it")
    if not isinstance(version, int) or not isinstance(written_at, datetime) or not isinstance(children, list):
        return ExcludedRun(run_id, name, "has a row that lacks its version, its time or the names of its files")
    if odd := [child for child in children if not isinstance(child, str) or not _CHILD.fullmatch(child)]:
        return ExcludedRun(run_id, name, f"names a file {odd[0]!r} that can't be one of the store")
    return RunEntry(name, run_id, version, written_at, tuple(children))


def _fault(entry: RunEntry, faults: Mapping[str, str]) -> ExcludedRun | None:
    if entry.version > SCHEMA_VERSION:
        why = (
            f"was written by a newer version of this program (schema version {entry.version}; this one knows versions "
            f"up to {SCHEMA_VERSION})"
        )
        return ExcludedRun(entry.run_id, entry.name, why, "Use that to read it; all other runs are shown.")
    return next((ExcludedRun(entry.run_id, child, faults[child]) for child in entry.children if child in faults), None)


def _rows(found: Found, counting: Mapping[str, RunEntry]) -> dict[int, pa.Table]:
    rows: dict[int, list[pa.Table]] = defaultdict(list)
    for name, table in found:
        names = table["run_id"].to_pylist()
        keep = [run_id in counting and counting[run_id].name == name for run_id in names]
        kept = table.filter(pa.array(keep, pa.bool_())).drop_columns([WRITTEN_AT, FILES])
        for version in pc.unique(kept["schema_version"]).to_pylist():
            rows[version].append(kept.filter(pc.equal(kept["schema_version"], version)))
    return {version: pa.concat_tables(tables, promote_options="permissive") for version, tables in rows.items()}


def with_schemas(inventory: Inventory, schemas: Mapping[str, pa.Schema]) -> Inventory:
    """The same with the schema of each file of the child tables that is known."""
    return replace(
        inventory,
        parts={
            table: tuple(replace(part, schema=schemas.get(part.name)) for part in parts)
            for table, parts in inventory.parts.items()
        },
    )


def _parts(entries: Iterable[RunEntry], counting: Iterable[RunEntry]) -> dict[str, tuple[StoredFile, ...]]:
    holds: dict[str, set[str]] = defaultdict(set)
    whole: set[str] = set()  # the files of which a row of `runs/` for each of their runs is known
    for entry in entries:
        packed = is_packed(entry.name)
        for child in entry.children:
            holds[child].add(entry.run_id)
            if child not in whole and packed == is_packed(child):
                whole.add(child)
    live: dict[str, set[str]] = defaultdict(set)
    versions: dict[str, int] = {}
    for entry in counting:
        for child in entry.children:
            live[child].add(entry.run_id)
            versions[child] = entry.version
    parts: dict[str, list[StoredFile]] = {table: [] for table in CHILDREN}
    for child in sorted(live):
        only = None if live[child] == holds[child] and child in whole else tuple(sorted(live[child]))
        parts[child.partition("/")[0]].append(StoredFile(child, versions[child], only))
    return {table: tuple(found) for table, found in parts.items()}


def is_packed(name: str) -> bool:
    """Whether a file of the store, named with its folder, holds many runs."""
    return f"/{PACKED}" in name
