"""What a store holds at one moment: which rows of `runs/` count, and which files to read for them. Touches no file."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from analysis.errors import Unfit
from analysis.schema import SCHEMA_VERSION, TABLES, TIMESTAMP

WRITTEN_AT: Final = "store_written_at"
FILES: Final = "store_files"
BOOKKEEPING: Final = (pa.field(WRITTEN_AT, TIMESTAMP), pa.field(FILES, pa.list_(pa.string())))
"""What a row of `runs/` has beyond the schema: when it was put, and the files of its visits, trials and samples."""

CHILDREN: Final = tuple(table for table in TABLES if table != "runs")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a child table, and which of its runs don't count because they were written again elsewhere."""

    name: str
    version: int
    superseded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row found in `runs/`: the file it lies in, its run and version, when it was put, the files that it names."""

    name: str
    run_id: str
    version: int
    written_at: datetime
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a store holds at one moment.

    `runs`: the rows that count, by schema version. `parts`: for each child table, the files to read. `entries`: every
    row found in `runs/`; `counting`: those of them that count.
    """

    runs: Mapping[int, pa.Table]
    parts: Mapping[str, tuple[Part, ...]]
    entries: tuple[Entry, ...]
    counting: frozenset[Entry]


def take(found: Sequence[tuple[str, pa.Table]], url: str) -> Inventory:
    """Find out what counts: of the rows of one run the one written last.

    Args:
        found: each file of `runs/` with its rows.
        url: the store, for the error.

    Raises:
        Unfit: a run was written by a newer version of this program.
    """
    entries = [
        Entry(name, row["run_id"], row["schema_version"], row[WRITTEN_AT], tuple(row[FILES]))
        for name, table in found
        for row in table.select(["run_id", "schema_version", WRITTEN_AT, FILES]).to_pylist()
    ]
    for entry in entries:
        if entry.version > SCHEMA_VERSION:
            raise Unfit(
                f"the run {entry.run_id} in {url} has schema version {entry.version}, and this program knows versions "
                f"up to {SCHEMA_VERSION}: update the program, or read another store"
            )
    last: dict[str, Entry] = {}
    for entry in entries:
        last[entry.run_id] = max(last.get(entry.run_id, entry), entry, key=lambda e: (e.written_at, e.name))
    return Inventory(
        runs=_rows(found, last),
        parts=_parts(entries, last.values()),
        entries=tuple(entries),
        counting=frozenset(last.values()),
    )


def _rows(found: Sequence[tuple[str, pa.Table]], last: Mapping[str, Entry]) -> dict[int, pa.Table]:
    rows: dict[int, list[pa.Table]] = defaultdict(list)
    for name, table in found:
        keep = [last[run_id].name == name for run_id in table["run_id"].to_pylist()]
        counting = table.filter(pa.array(keep, pa.bool_())).drop_columns([WRITTEN_AT, FILES])
        for version in pc.unique(counting["schema_version"]).to_pylist():
            rows[version].append(counting.filter(pc.equal(counting["schema_version"], version)))
    return {version: pa.concat_tables(tables, promote_options="permissive") for version, tables in rows.items()}


def _parts(entries: Iterable[Entry], counting: Iterable[Entry]) -> dict[str, tuple[Part, ...]]:
    holds: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        for child in entry.children:
            holds[child].add(entry.run_id)
    live: dict[str, set[str]] = defaultdict(set)
    versions: dict[str, int] = {}
    for entry in counting:
        for child in entry.children:
            live[child].add(entry.run_id)
            versions[child] = entry.version
    parts: dict[str, list[Part]] = {table: [] for table in CHILDREN}
    for child in sorted(live):
        parts[child.partition("/")[0]].append(Part(child, versions[child], tuple(sorted(holds[child] - live[child]))))
    return {table: tuple(found) for table, found in parts.items()}
