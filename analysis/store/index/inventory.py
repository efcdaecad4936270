"""Which rows of `runs/` count at one moment, and which files to read for them. Opens no file."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from analysis.store.index.left_out import LeftOut
from analysis.store.index.names import CHILDREN, is_packed
from analysis.store.index.run_entries import RunEntry, read_entries
from analysis.store.schema import FIRST_VERSION, SCHEMA_VERSION, columns


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a sound file.

    `content`: all of it, where it was read whole from a bucket, so that a query need not read it again.
    """

    schema: pa.Schema
    rows: int
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a child table: its name with its folder, and its rows' version.

    `only`: the runs whose rows count; None: all of its rows do.
    """

    name: str
    version: int
    only: tuple[str, ...] | None
    checked: Checked


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a store has at one moment.

    Attributes:
        runs: the rows that count, by schema version.
        entries: every row found in `runs/`.
        counting: those of the entries that count.
        left_out: the runs that don't count, and why.
        parts: for each child table, the files to read; none before they are checked.
    """

    runs: Mapping[int, pa.Table]
    entries: tuple[RunEntry, ...]
    counting: frozenset[RunEntry]
    left_out: tuple[LeftOut, ...] = ()
    parts: Mapping[str, Sequence[StoredFile]] = field(default_factory=dict)

    def reading(self, sound: Mapping[str, Checked]) -> "Inventory":
        """The inventory with these files to read."""
        return replace(self, parts=_parts(self.entries, self.counting, sound))


Found = Sequence[tuple[str, pa.Table]]


def select_runs(
    found: Found, damaged: Iterable[LeftOut] = (), faults: Mapping[str, str] = MappingProxyType({})
) -> Inventory:
    """Select the rows that count: of each run the one written last, unless a file that it names is damaged.

    `damaged`: the files of `runs/` that can't be used. Their runs don't count, not even by an earlier row. `faults`:
    what is wrong with files of the child tables, by name. Their runs don't count. The `file` of each run left out is a
    name in the store.
    """
    read = [one for name, table in found for one in read_entries(name, table)]
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
        entries=tuple(entries),
        counting=frozenset(counting.values()),
        left_out=tuple(left_out),
    )


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
        kept = table.filter(pa.array(keep, pa.bool_()))
        for version in pc.unique(kept["schema_version"]).to_pylist():
            # Unknown columns, of a newer program, can have any type, and those of two files need not agree.
            known = [column.name for column in columns("runs", version) if column.name in kept.column_names]
            rows[version].append(kept.filter(pc.equal(kept["schema_version"], version)).select(known))
    return {version: pa.concat_tables(tables, promote_options="permissive") for version, tables in rows.items()}


def _parts(
    entries: Iterable[RunEntry], counting: Iterable[RunEntry], sound: Mapping[str, Checked]
) -> dict[str, list[StoredFile]]:
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
    for child in sorted(live.keys() & sound.keys()):
        only = None if live[child] == runs_of[child] and child in complete else tuple(sorted(live[child]))
        parts[child.partition("/")[0]].append(StoredFile(child, versions[child], only, sound[child]))
    return parts
