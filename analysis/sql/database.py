# ruff: noqa: S608 - the SQL is put together from names of the schema and quoted names of files
"""DuckDB over a store: the four tables and views derived from them, the questions in `queries/`, and any SQL."""

import atexit
import contextlib
import difflib
import functools
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.dataset
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from analysis.errors import BadInput, Unsupported
from analysis.sql import view_statements
from analysis.store.file_content import first_line_of_error
from analysis.store.integrity.audit import ALWAYS, EVERY
from analysis.store.inventory import Inventory, StoredFile
from analysis.store.left_out import LeftOut
from analysis.store.left_out import table as left_out_table
from analysis.store.migrations import migrated_relation
from analysis.store.names import CHILDREN
from analysis.store.parquet import content_digest
from analysis.store.schema import SCHEMA_VERSION, arrow_schema
from analysis.store.store import Store

Connection = duckdb.DuckDBPyConnection

COLUMNS: Final = """
select table_name, column_name, data_type
from information_schema.columns
where table_schema = 'main'
order by table_name, ordinal_position
"""
"""The tables, views and their columns, as a query."""

TRIES: Final = stop_after_attempt(5)
"""A writer may just have replaced a file: then the store is opened again."""

_PATTERN: Final = re.compile(r"[*?\[\]{}\\]")
"""Letters by which DuckDB takes a path for a pattern, or might."""

_NO_MORE_FILES: Final = "Too many open files"

_TIMES: Final = "between '0001-01-01 00:00:00+00'::timestamptz and '9999-12-31 23:59:59.999999+00'::timestamptz"
"""What Python can have. A time outside of it, stored by mistake, is null: it must not end an analysis of other runs."""

MEMORY_LIMIT: Final = "640MB"
"""Above it DuckDB spills to disk: a report must be made in a pod of 1 GiB."""


class ChangedStoreError(Unsupported):
    """A file that the views read is gone or can't be read; opening the store again usually helps."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query with a name, `queries/NAME.sql`. Each of its `parameters` may be left out."""

    name: str
    question: str
    parameters: tuple[str, ...]
    sql: str


def connect(store: Store, *, run_id: str | None = None, asking: str | None = None) -> Connection:
    """Open the store as it is now: views `runs`, `visits`, `trials`, `samples`, and those in `views/`.

    The views show whole runs only; the table `left_out` lists the others, and why. Times have a zone, UTC; fetch
    them by `to_arrow_table()` or `df()`.

    Args:
        store: where the results are. An empty one gives the same views, without rows.
        run_id: a run that is to be reported: each of its files is compared with its digest.
        asking: the SQL to come. Samples are many, and compared with their digests only if it names them, or if it is
            None, unknown.

    Returns:
        A connection to a database in memory, which is the caller's to close.

    Raises:
        Unsupported: the store can't be read.
    """
    digested = EVERY if asking is None or "samples" in asking.lower() else ALWAYS
    try:
        return _opened(store, digested, run_id)
    except (duckdb.Error, pa.ArrowException, FileNotFoundError) as error:
        raise Unsupported(f"can't read {store.url}: {first_line_of_error(error)}; {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    if _NO_MORE_FILES in str(error):
        return "raise the limit of open files (ulimit -n)"
    return "try again; if it stays so, put the file back from a copy"


@retry(retry=retry_if_exception_type((duckdb.IOException, FileNotFoundError)), stop=TRIES, reraise=True)
def _opened(store: Store, digested: Collection[str], run_id: str | None) -> Connection:
    with contextlib.ExitStack() as stack:
        con = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": _spill_folder(),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        stack.callback(con.close)
        con.execute("set parquet_metadata_cache = true")  # a file of the store never changes
        _create(con, store, store.inventory(digested, run_id))
        stack.pop_all()
    return con


def _spill_folder() -> str:
    """A folder for what a query moves out of memory, which DuckDB makes and removes; empty where there can be none."""
    try:
        return str(Path(_private_folder(), secrets.token_hex(4)))
    except FileNotFoundError:
        return ""


@functools.cache
def _private_folder() -> str:
    """A folder that no other user can read, enter or have made; removed at the end of the process."""
    folder = tempfile.mkdtemp(prefix="dataplane-benchmark-duckdb-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _create(con: Connection, store: Store, inventory: Inventory) -> None:
    con.execute("set TimeZone = 'UTC'")
    con.register("left_out_now", left_out_table(inventory.left_out))
    con.execute("create table left_out as select * from left_out_now")
    con.unregister("left_out_now")
    _create_runs(con, inventory)
    for table in CHILDREN:
        stored = [
            migrated_relation(_complete(con, table, version, rows), table, version)
            for version, rows in _stored(con, store, table, inventory.parts[table])
        ]
        con.execute(f"create view {table} as {_shaped(con, table, stored)}")
    for statement in view_statements.statements():
        con.execute(statement)


def left_out(con: Connection) -> list[LeftOut]:
    """The runs that no view shows, each with the reason."""
    return [LeftOut(**row) for row in query(con, "select * from left_out").to_pylist()]


def questions() -> list[Question]:
    """The questions of `queries/`, sorted by name."""
    found = []
    for file in sorted(resources.files("analysis").joinpath("queries").iterdir(), key=lambda f: f.name):
        name, dot, kind = file.name.rpartition(".")
        if dot and kind == "sql":
            text = file.read_text()
            parameters = tuple(sorted(set(re.findall(r"\$([a-z_]+)\b", text))))
            found.append(Question(name, text.partition("\n")[0].removeprefix("--").strip(), parameters, text))
    return found


def answer_question(con: Connection, name: str, **parameters: object) -> pa.Table:
    """The answer to one of the questions.

    Args:
        con: from `connect`.
        name: the question's.
        parameters: its parameters; one that is left out means any, but `run_id`: the last run of each environment.

    Raises:
        BadInput: there is no such question, or it has no such parameter.
    """
    known = {question.name: question for question in questions()}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise BadInput(f"there is no question {name!r}; {hint}known are {', '.join(known)}")
    question = known[name]
    if unknown := sorted(set(parameters) - set(question.parameters)):
        raise BadInput(
            f"the question {name} has no parameter {unknown[0]!r}; "
            + (f"it has {', '.join(question.parameters)}" if question.parameters else "it has none")
        )
    values = {parameter: parameters.get(parameter) for parameter in question.parameters}
    return query(con, question.sql, values)


def query(con: Connection, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
    """The rows of a query; none for a statement without rows.

    Raises:
        BadInput: DuckDB refuses the SQL.
        ChangedStoreError: a file of the store can't be read, or was replaced meanwhile.
    """
    try:
        relation = con.sql(sql, params=dict(parameters) if parameters else None)
        return pa.table({}) if relation is None else relation.to_arrow_table()
    except duckdb.Error as error:
        # DuckDB reports an error of Arrow, which reads a bucket, as an error in the input.
        if isinstance(error, duckdb.IOException) or "registered as" in str(error):
            again = _remedy(error) if _NO_MORE_FILES in str(error) else "ask again"
            raise ChangedStoreError(
                f"the store can't be read, or was rewritten meanwhile; {again}: {first_line_of_error(error)}"
            ) from error
        raise BadInput(f"this SQL can't be answered: {str(error).strip()}") from error


@retry(retry=retry_if_exception_type(ChangedStoreError), stop=TRIES, reraise=True)
def run_sql(store: Store, sql: str) -> pa.Table:
    """Open the store and run a query; again if a writer replaced a file in between.

    Raises:
        BadInput: DuckDB refuses the SQL.
        Unsupported: the store can't be read.
    """
    with contextlib.closing(connect(store, asking=sql)) as con:
        return query(con, sql)


def _create_runs(con: Connection, inventory: Inventory) -> None:
    """`runs` is small, and read already, so it becomes a table in memory."""
    stored = []
    for version, table in inventory.runs.items():
        name = f"runs_of_version_{version}"
        con.register(name, table)
        stored.append(migrated_relation(_complete(con, "runs", version, f'"{name}"'), "runs", version))
    con.execute(f"create table runs as {_shaped(con, 'runs', stored)}")
    for version in inventory.runs:
        con.unregister(f"runs_of_version_{version}")


def _complete(con: Connection, table: str, version: int, rows: str) -> str:
    """What to select rows of an older version from, so that they have each of its columns, as an upgrade expects."""
    return rows if version == SCHEMA_VERSION else f"({_shaped(con, table, [rows], version)})"


def _shaped(con: Connection, table: str, stored: Iterable[str], version: int = SCHEMA_VERSION) -> str:
    """A query for all of the stored rows with just the columns of the schema; a missing column is null."""
    schema = arrow_schema(table, version)
    shape = con.from_arrow(schema.empty_table())
    columns = ", ".join(
        f'null::{kind} as "{name}"' for name, kind in zip(shape.columns, map(str, shape.types), strict=True)
    )
    names = ", ".join(_with_valid_times(f'"{field.name}"', field.type) + f' as "{field.name}"' for field in schema)
    rows = "".join(f" union all by name select * from {source}" for source in stored)
    return f"select {names} from (select {columns} where false{rows})"


def _with_valid_times(value: str, kind: pa.DataType) -> str:
    """SQL for a column, with null for times that Python does not have."""
    if pa.types.is_timestamp(kind):
        return f"case when {value} {_TIMES} then {value} end"
    if pa.types.is_list(kind) and (inner := _with_valid_times("each", kind.value_type)) != "each":
        return f"list_transform({value}, lambda each: {inner})"
    if pa.types.is_struct(kind) and any(pa.types.is_timestamp(field.type) for field in kind):
        fields = (f"{field.name} := {_with_valid_times(f'{value}.{field.name}', field.type)}" for field in kind)
        return f"case when {value} is not null then struct_pack({', '.join(fields)}) end"
    return value


def _stored(con: Connection, store: Store, table: str, parts: Iterable[StoredFile]) -> list[tuple[int, str]]:
    """What to select a table's stored rows from, with their version, in as few reads as possible."""
    whole: dict[int, list[StoredFile]] = {}
    sources: list[tuple[int, str]] = []
    for part in parts:
        if part.only is not None:
            counting = ", ".join(map(_quoted, part.only))
            rows = _read(con, store, table, part.version, [part])
            sources.append((part.version, f"(select * from {rows} where run_id in ({counting}))"))
        else:
            whole.setdefault(part.version, []).append(part)
    for version, found in whole.items():
        sources.append((version, _read(con, store, table, version, found)))
    return sources


def _read(con: Connection, store: Store, table: str, version: int, parts: list[StoredFile]) -> str:
    """What to select the rows of these files from, all of one version.

    No folder's name is a partition, and no letter of a path a pattern. DuckDB has no option for the latter, so Arrow
    reads paths with such letters, and buckets.
    """
    files = store.files
    names = [part.name for part in parts]
    paths = [files.folder.path_for_libraries(name) if files.folder else files.path(name) for name in names]
    if files.local and not any(map(_PATTERN.search, paths)):
        named = ", ".join(map(_quoted, paths))
        return f"read_parquet([{named}], union_by_name = true, hive_partitioning = false, filename = false)"
    schema = arrow_schema(table, version)
    dataset = pyarrow.dataset.dataset(
        paths, filesystem=files.filesystem, format="parquet", schema=schema, partitioning=None
    )
    view = f"{table}_{content_digest(b'', *(part.name for part in parts))}"
    con.register(view, dataset)
    return view


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
