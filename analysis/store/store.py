"""The store of results: four tables in Parquet, one file a run and table, whole after a kill at any moment.

A file never changes: its name has the digest of its content. The row of a run in `runs/` names the files of its
visits, trials and samples, and is written last. So a reader who follows that row finds a run whole, or as it was
before, or not at all; a file that no row names is deleted when it is an hour old. Of a run written more than once, the
row written last counts. Any number of processes may read and write.

A run never replaces another's rows: the uid of its workflow is stored, and a write by another workflow is refused. In a
folder a lock keeps writers apart meanwhile. A bucket has no lock, and pyarrow can't create an object only where there
is none; there the ids keep runs apart, since each ends in its workflow's random uid.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from analysis.errors import BadInput, Problem, Unsupported
from analysis.store.compaction import compact
from analysis.store.files.arrow import Row, to_table
from analysis.store.files.parquet import (
    NAMED_BY_CONTENT,
    Runs,
    content_digest,
    read_runs,
    read_table,
    readable_runs,
    to_parquet,
    undecodable,
)
from analysis.store.index.inventory import Inventory
from analysis.store.index.names import CHILDREN, PACKED, check_run_id, file_name, run_of_file
from analysis.store.index.run_entries import BOOKKEEPING, FILES, WRITTEN_AT
from analysis.store.index.selection import Choice, every_run, one_run
from analysis.store.integrity.audit import ALWAYS, EVERY, Extent
from analysis.store.integrity.stock import take_inventory
from analysis.store.schema import SCHEMA_VERSION, TABLES, UID, VERDICT, arrow_schema
from analysis.store.storage.object_storage import ObjectStorage


class Store:
    """Results in a folder or an S3 bucket.

    Every method raises Unsupported, with a sentence, where the store can't be read or written.
    """

    def __init__(self, url: str) -> None:
        """Parse the address, as `urls.parse_url` takes it; no file is opened yet.

        Raises:
            BadInput: it is no such address.
        """
        self.files = ObjectStorage(url)
        self._undecodable: dict[str, str] = {}

    @property
    def url(self) -> str:
        """The address as it was given."""
        return self.files.url

    def location(self, name: str) -> str:
        """The whole address of a file of the store, such as `report.html`."""
        return self.files.address(name)

    def check_writable(self, *, dry: bool = False) -> None:
        """Check that results can be written, before anything is measured; `dry` does so without a change."""
        self.files.check_writable(dry=dry)

    def write(self, run_id: str, rows: Mapping[str, Sequence[Row]]) -> None:
        """Write the rows of a run, in place of what the store has of it. Writing twice is writing once.

        A table that is left out has no rows, but `runs` must have its one row.

        Raises:
            BadInput: a row does not fit the schema.
            Problem: the store has a run of this id that another workflow measured.
        """
        if unknown := sorted(set(rows) - set(TABLES)):
            raise BadInput(f"there is no table {unknown[0]!r}; the tables are {', '.join(TABLES)}")
        self.write_tables(run_id, {table: to_table(table, run_id, rows.get(table, ())) for table in TABLES})

    def write_tables(self, run_id: str, tables: Mapping[str, pa.Table]) -> None:
        """Write a run that is already in the stored schema, as `arrow.to_table` makes it.

        Raises:
            BadInput: the run's id can't be part of a file name.
            Problem: the store has a run of this id that another workflow measured.
        """
        check_run_id(run_id)
        children = {}
        for table in CHILDREN:
            if (found := tables.get(table)) is not None and found.num_rows:
                content = to_parquet([found])
                children[file_name(table, run_id, content_digest(content))] = content
        with self.files.lock():
            self._replace(run_id, tables["runs"], children)
            self._pack()

    def keep_verdict(self, run_id: str, verdict: str) -> None:
        """Write a run's verdict into its row in `runs/`; its other files stay as they are.

        Raises:
            BadInput: the store has no such run.
            Unsupported: the run is left out.
        """
        with self.files.lock():
            stock = take_inventory(self.files, Extent(ALWAYS, ALWAYS, run_id), one_run(run_id))
            entry = next((entry for entry in stock.counting if entry.run_id == run_id), None)
            if entry is None:
                if sentence := next((one.sentence for one in stock.left_out if one.run_id == run_id), None):
                    raise Unsupported(sentence)
                raise BadInput(f"there is no run {run_id!r} in {self.url}")
            ((_, stored),) = read_runs(self.files, [entry.name])
            row = stored.filter(pc.equal(stored["run_id"], run_id))
            if VERDICT in row.column_names and row[VERDICT].to_pylist() == [verdict]:
                return
            row = _with_verdict(row.drop_columns([WRITTEN_AT, FILES]), verdict)
            name = self._put_row(run_id, row, entry.children, [(entry.name, stored)])
            for file in self._files_of("runs", run_id) - {name}:
                self.files.delete(file)
            self._pack()

    def _pack(self) -> None:
        # The run is stored by now. Packing only makes later reading faster, and the next write tries it again.
        with contextlib.suppress(Problem, pa.ArrowException, MemoryError):
            compact(self.files)

    def _files_of(self, table: str, run_id: str) -> set[str]:
        return {f"{table}/{file.name}" for file in self.files.list(table) if run_of_file(file.name) == run_id}

    def _replace(self, run_id: str, row: pa.Table, children: Mapping[str, bytes]) -> None:
        there = {file for table in TABLES for file in self._files_of(table, run_id)}
        rows = sorted(file for file in there if file.startswith("runs/"))
        earlier, damaged = readable_runs(self.files, rows)
        _refuse_older_program(self.url, run_id, earlier)
        self._refuse_another(run_id, row, earlier)
        kept = {child for child in children if child in there and self._is_sound(child)}
        complete = kept == set(children) == there - set(rows)
        if complete and len(rows) == 1 and not damaged and _is_stored(earlier, row, kept):
            return
        for child, content in children.items():
            if child not in kept:
                self.files.put(child, content)
        name = self._put_row(run_id, row, children, earlier)
        for file in sorted(there - {name, *children}):
            self.files.delete(file)

    def _is_sound(self, name: str) -> bool:
        try:
            read_table(self.files, name)
        except (Problem, FileNotFoundError):
            return False
        return True

    def _put_row(self, run_id: str, row: pa.Table, children: Iterable[str], earlier: Runs) -> str:
        content = to_parquet([_with_bookkeeping(row, children, earlier)])
        name = file_name("runs", run_id, content_digest(content))
        self.files.put(name, content)
        return name

    def _refuse_another(self, run_id: str, row: pa.Table, earlier: Runs) -> None:
        """Raise where the store has this run from another workflow, in a file of its own or in a packed one."""
        found = [table for _, table in earlier]
        for file in self.files.list("runs"):
            if file.name.startswith(PACKED):
                # A damaged file keeps nobody from writing, and a writer may just have replaced one.
                with contextlib.suppress(Problem, FileNotFoundError):
                    found += [table for _, table in read_runs(self.files, [f"runs/{file.name}"])]
        wanted = _uids(row, run_id)
        for table in found:
            stored = _uids(table, run_id)
            if stored and stored != wanted:
                raise Problem(
                    f"the store {self.url} has a run {run_id} that another workflow measured (uid "
                    f"{', '.join(sorted(stored))}); it is kept, and this one is not stored: give it another name or "
                    "another store"
                )

    def write_report(self, run_id: str, files: Mapping[str, str], *, latest: bool) -> str:
        """Write the files of a run's report, by name, the report first; returns the address of the report.

        `latest`: also put them at the root, where those of the latest run are.

        Raises:
            BadInput: the run's id can't be part of a file name.
        """
        check_run_id(run_id)
        for folder in (f"reports/{run_id}/", *([""] if latest else [])):
            for name, text in files.items():
                self.files.put(f"{folder}{name}", text.encode())
        return self.files.address(f"reports/{run_id}/{next(iter(files))}")

    def inventory(
        self,
        digested: Collection[str] = ALWAYS,
        run_id: str | None = None,
        *,
        tables: Collection[str] = EVERY,
        choice: Choice = every_run,
        verdicts: bool = True,
    ) -> Inventory:
        """What the store has now: the whole runs, the files to read for them, and what is left out and why.

        Args:
            digested: the tables of which all content is compared with the digest in its file's name.
            run_id: a run of which that is done for all tables.
            tables: those of which files are opened at all.
            choice: the runs of which files are opened.
            verdicts: whether the rows have the verdicts.
        """
        extent = Extent(frozenset(tables), frozenset(digested), run_id, verdicts)
        return take_inventory(self.files, extent, choice, self._undecodable)

    def leave_out_undecodable(self) -> bool:
        """Decode all files of visits, trials and samples; those that can't be are left out by this object from now on.

        Returns whether there are any that were not left out before.
        """
        found = undecodable(self.files, {child for entry in self.inventory().counting for child in entry.children})
        self._undecodable |= found
        return bool(found)


def _refuse_older_program(url: str, run_id: str, earlier: Runs) -> None:
    """What a newer program wrote is never replaced by this one, which does not know all of its columns."""
    for _, table in earlier:
        newest = pc.max(table["schema_version"]).as_py()
        if newest is not None and newest > SCHEMA_VERSION:
            raise Unsupported(
                f"can't write the run {run_id} into {url}: a newer version of this program wrote it (schema version "
                f"{newest}; this one knows versions up to {SCHEMA_VERSION}); use that"
            )


def _is_stored(earlier: Runs, row: pa.Table, children: Iterable[str]) -> bool:
    """Whether the one stored row is this one, and names these files."""
    ((_, stored),) = earlier
    same = stored.drop_columns([WRITTEN_AT, FILES]).equals(row)
    return bool(same and stored[FILES].to_pylist() == [sorted(children)])


def _with_verdict(row: pa.Table, verdict: str) -> pa.Table:
    field = arrow_schema("runs").field(VERDICT)
    column = pa.array([verdict], field.type)
    place = row.schema.get_field_index(VERDICT)
    return row.append_column(field, column) if place < 0 else row.set_column(place, field, column)


def _uids(runs: pa.Table, run_id: str) -> set[str]:
    """The uids, in these rows, of the workflows that measured the run."""
    if UID not in runs.column_names:
        return set()
    return set(runs.filter(pc.equal(runs["run_id"], run_id))[UID].drop_null().to_pylist())


def _with_bookkeeping(runs: pa.Table, children: Iterable[str], earlier: Runs) -> pa.Table:
    """The row of a run as it is stored. Its time is after that of any earlier row, whatever the clock."""
    now = datetime.now(UTC)
    for _, table in earlier:
        if table.num_rows:
            now = max(now, pc.max(table[WRITTEN_AT]).as_py() + timedelta(microseconds=1))
    for field, value in zip(BOOKKEEPING, (now, sorted(children)), strict=True):
        runs = runs.append_column(field, pa.array([value], field.type))
    return runs.replace_schema_metadata((runs.schema.metadata or {}) | {NAMED_BY_CONTENT: b"content"})
