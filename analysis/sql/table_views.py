# ruff: noqa: S608 - the SQL is put together from names of the schema and quoted names of files
"""The tables of a store in DuckDB, of which those that are large stay in their files, and the derived views."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.dataset

from analysis.sql import view_statements
from analysis.statements.execution import execute, rows_of
from analysis.store.files.parquet import content_digest
from analysis.store.index.inventory import Inventory, StoredFile
from analysis.store.index.left_out import left_out_table
from analysis.store.migrations import migrated_relation
from analysis.store.schema import SCHEMA_VERSION, arrow_schema
from analysis.store.store import Store

_PATTERN: Final = re.compile(r"[*?\[\]{}\\]")
"""Letters by which DuckDB takes a path for a pattern, or might."""

_TIMES: Final = "between '0001-01-01 00:00:00+00'::timestamptz and '9999-12-31 23:59:59.999999+00'::timestamptz"
"""What Python can have. A time outside of it, stored by mistake, is null: it must not end an analysis of other runs."""

MOST_KEPT_ROWS: Final = 10_000
"""So many trials take some 15 MB of memory."""

_SHAPES: Final[dict[tuple[str, int], tuple[str, str]]] = {}
"""By table and version: the columns as they are selected, and a null of each one's type. DuckDB names the types."""

_PARSED: Final[dict[str, duckdb.Statement]] = {}
"""By its SQL, each statement that creates a derived view or macro; they are the same in every store."""


def create(
    con: duckdb.DuckDBPyConnection, store: Store, inventory: Inventory, tables: Iterable[str], *, often: bool
) -> None:
    """Create the tables and views of the runs that count in an empty database, and the table `left_out` of the others.

    `tables`: those of visits, trials and samples that were checked; there is no view of another. `often`: many queries
    are to come, so that a small table is read once, and not by each of them.
    """
    execute(con, "set TimeZone = 'UTC'")
    con.register("left_out_now", left_out_table(inventory.left_out))
    execute(con, "create table left_out as select * from left_out_now")
    con.unregister("left_out_now")
    _create_runs(con, inventory)
    for table in tables:
        rows = _shaped(con, table, _stored(con, store, table, inventory.parts[table]))
        is_small = sum(part.checked.rows for part in inventory.parts[table]) <= MOST_KEPT_ROWS
        if not (often and is_small and _is_kept(con, table, rows)):
            execute(con, f"create view {table} with (defer_binding) as {rows}")
    for statement in view_statements.statements():
        execute(con, _parsed(con, statement))


def _parsed(con: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """A statement as DuckDB's parser leaves it, kept for the next connection: those of the views are long."""
    if sql not in _PARSED:
        (_PARSED[sql],) = con.extract_statements(sql)
    return _PARSED[sql]


def _create_runs(con: duckdb.DuckDBPyConnection, inventory: Inventory) -> None:
    """`runs` is small, and read already, so it becomes a table in memory."""
    stored = []
    for version, table in inventory.runs.items():
        name = f"runs_of_version_{version}"
        con.register(name, table)
        stored.append(_current(con, "runs", version, name))
    execute(con, f"create table runs as {_shaped(con, 'runs', stored)}")
    for version in inventory.runs:
        con.unregister(f"runs_of_version_{version}")


def verdicts_in(con: duckdb.DuckDBPyConnection, rows: pa.Table, version: int) -> Iterator[tuple[str, str | None]]:
    """The runs in rows of `runs/` of this version, each with its verdict as this program has it, by any database."""
    con.register("rows_with_verdicts", rows)
    shaped = _shaped(con, "runs", [_current(con, "runs", version, "rows_with_verdicts")])
    found = rows_of(con, f"select run_id, verdict from ({shaped})")
    con.unregister("rows_with_verdicts")
    return zip(found["run_id"].to_pylist(), found["verdict"].to_pylist(), strict=True)


def _current(con: duckdb.DuckDBPyConnection, table: str, version: int, rows: str) -> str:
    """What to select rows of a version from, so that they come as the current one has them."""
    if version == SCHEMA_VERSION:
        return rows
    complete = f"({_shaped(con, table, [rows], version)})"  # with each column of its version, as an upgrade expects
    return migrated_relation(complete, table, version)


def _shaped(con: duckdb.DuckDBPyConnection, table: str, stored: Iterable[str], version: int = SCHEMA_VERSION) -> str:
    """A query for all of the stored rows with just the columns of the schema; a missing column is null."""
    if (table, version) not in _SHAPES:
        schema = arrow_schema(table, version)
        shape = con.from_arrow(schema.empty_table())
        columns = ", ".join(
            f'null::{kind} as "{name}"' for name, kind in zip(shape.columns, map(str, shape.types), strict=True)
        )
        names = ", ".join(_readable(f'"{field.name}"', field.type) + f' as "{field.name}"' for field in schema)
        _SHAPES[table, version] = names, columns
    names, columns = _SHAPES[table, version]
    rows = "".join(f" union all by name select * from {source}" for source in stored)
    return f"select {names} from (select {columns} where false{rows})"


def _readable(value: str, kind: pa.DataType) -> str:
    """SQL for a column, with null for times that Python does not have, and no null among the items of a list.

    No item is null that this program wrote. A file of another one would else end every question that reads it.
    """
    if pa.types.is_timestamp(kind):
        return f"case when {value} {_TIMES} then {value} end"
    if pa.types.is_list(kind):
        there = f"list_filter({value}, lambda each: each is not null)"
        inner = _readable("each", kind.value_type)
        return there if inner == "each" else f"list_transform({there}, lambda each: {inner})"
    if pa.types.is_struct(kind) and any(pa.types.is_timestamp(field.type) for field in kind):
        fields = (f"{field.name} := {_readable(f'{value}.{field.name}', field.type)}" for field in kind)
        return f"case when {value} is not null then struct_pack({', '.join(fields)}) end"
    return value


def _stored(con: duckdb.DuckDBPyConnection, store: Store, table: str, parts: Iterable[StoredFile]) -> Iterator[str]:
    """What to select a table's stored rows from, as the current version has them, in as few reads as possible.

    Files with the same columns are read together, so that DuckDB need not open each to learn them.
    """
    alike: dict[tuple[int, pa.Schema], list[StoredFile]] = defaultdict(list)
    for part in parts:
        if part.only is None:
            alike[part.version, part.checked.schema.remove_metadata()].append(part)
        else:
            counting = ", ".join(map(_quoted, part.only))
            rows = f"(select * from {_read(con, store, table, part.version, [part])} where run_id in ({counting}))"
            yield _current(con, table, part.version, rows)
    for (version, _), found in alike.items():
        yield _current(con, table, version, _read(con, store, table, version, found))


def _is_kept(con: duckdb.DuckDBPyConnection, table: str, rows: str) -> bool:
    """Whether a table could be read into memory; else a file of it is damaged or gone, which a query may not need."""
    try:
        execute(con, f"create table {table} as {rows}")
    except duckdb.Error:
        return False
    return True


def _read(con: duckdb.DuckDBPyConnection, store: Store, table: str, version: int, parts: list[StoredFile]) -> str:
    """What to select the rows of these files from, all of one version.

    No folder's name is a partition, and no letter of a path a pattern. DuckDB has no option for the latter, so Arrow
    reads paths with such letters, and buckets.
    """
    files = store.files
    names = [part.name for part in parts]
    paths = [files.folder.path_for_libraries(name) if files.folder else files.path(name) for name in names]
    if files.local and not any(map(_PATTERN.search, paths)):
        named = ", ".join(map(_quoted, paths))
        return f"read_parquet([{named}], hive_partitioning = false, filename = false)"
    parquet = pyarrow.dataset.ParquetFileFormat()
    fragments = [
        parquet.make_fragment(path, files.filesystem)
        if part.checked.content is None
        else parquet.make_fragment(pa.py_buffer(part.checked.content))
        for part, path in zip(parts, paths, strict=True)
    ]
    dataset = pyarrow.dataset.FileSystemDataset(fragments, arrow_schema(table, version), parquet)
    view = f"{table}_{content_digest(b'', *(part.name for part in parts))}"
    con.register(view, dataset)
    return view


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
