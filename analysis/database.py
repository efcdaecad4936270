# ruff: noqa: S608 - the SQL is put together from names of the schema and quoted names of files
"""DuckDB over a store: the four tables and what derives from them as views, questions in `queries/`, and any SQL."""

import contextlib
import difflib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.dataset
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from analysis import flags
from analysis.errors import BadInput, Unfit
from analysis.inventory import CHILDREN, Inventory, Part
from analysis.schema import SCHEMA_VERSION, arrow_schema
from analysis.store import Store
from analysis.tables import digest
from analysis.upgrade import UPGRADES, Steps, upgraded

Connection = duckdb.DuckDBPyConnection

VIEWS: Final = ("measurements", "visit_means", "node_usage", "idle_usage", "evidence", "latest_runs")
"""What derives from the tables, each in `views/NAME.sql`, in an order in which each finds those it reads."""

MACROS: Final = ("geometric_mean",)
"""Functions that views and questions use, each in `views/NAME.sql`."""

COLUMNS: Final = """
select table_name, column_name, data_type
from information_schema.columns
where table_schema = 'main'
order by table_name, ordinal_position
"""
"""The tables, views and their columns, as a query."""

TRIES: Final = stop_after_attempt(5)
"""A file may be gone because a writer has just replaced it: then the store is opened again, so often."""

MEMORY_LIMIT: Final = "640MB"
"""Above it DuckDB spills to disk: a report must be made in a pod of 1 GiB."""


class Changed(Unfit):
    """A file that the views read is gone or can't be read; opening the store again most likely mends it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that `queries/NAME.sql` answers. `parameters`: each may be left out."""

    name: str
    question: str
    parameters: tuple[str, ...]
    sql: str


def connect(store: Store, steps: Steps = UPGRADES, current: int = SCHEMA_VERSION) -> Connection:
    """Open the store as it is now: views `runs`, `visits`, `trials`, `samples`, and those of VIEWS.

    Only runs that are whole are seen. Times have a zone, UTC; fetch them by `to_arrow_table()` or `df()`.

    Args:
        store: where the results are. An empty one gives the same views, without rows.
        steps: how to upgrade rows of older schema versions.
        current: the schema version to upgrade to.

    Returns:
        A connection to a database in memory, which is the caller's to close.

    Raises:
        Unfit: the store can't be read, or was written by a newer version of this program.
    """
    try:
        return _opened(store, steps, current)
    except (duckdb.IOException, FileNotFoundError) as error:
        raise Unfit(
            f"can't read {store.url}: {_first_line(error)}; put the file back from a copy, or delete its run from runs/"
        ) from error


@retry(retry=retry_if_exception_type((duckdb.IOException, FileNotFoundError)), stop=TRIES, reraise=True)
def _opened(store: Store, steps: Steps, current: int) -> Connection:
    with contextlib.ExitStack() as stack:
        con = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(Path(tempfile.gettempdir(), f"dataplane-benchmark-duckdb-{os.getpid()}")),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        stack.callback(con.close)
        con.execute("set parquet_metadata_cache = true")  # a file of the store never changes
        _create(con, store, steps, current)
        stack.pop_all()
    return con


def _create(con: Connection, store: Store, steps: Steps, current: int) -> None:
    inventory = store.inventory()
    con.execute("set TimeZone = 'UTC'")
    _create_runs(con, inventory, steps, current)
    for table in CHILDREN:
        stored = [
            upgraded(rows, table, version, steps, current)
            for version, rows in _stored(con, store, table, inventory.parts[table])
        ]
        con.execute(f"create view {table} as {_shaped(con, table, stored)}")
    for statement in flags.statements():
        con.execute(statement)
    for name in (*MACROS, *VIEWS):
        con.execute(resources.files("analysis").joinpath("views", f"{name}.sql").read_text())


def questions() -> list[Question]:
    """The questions that `ask` answers, by name."""
    found = []
    for file in sorted(resources.files("analysis").joinpath("queries").iterdir(), key=lambda f: f.name):
        name, dot, kind = file.name.rpartition(".")
        if dot and kind == "sql":
            text = file.read_text()
            parameters = tuple(sorted(set(re.findall(r"\$([a-z_]+)\b", text))))
            found.append(Question(name, text.partition("\n")[0].removeprefix("--").strip(), parameters, text))
    return found


def ask(con: Connection, name: str, **parameters: object) -> pa.Table:
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
    """The rows that SQL gives; none for a statement that gives none.

    Raises:
        BadInput: DuckDB refuses the SQL.
        Changed: a file of the store can't be read, or was replaced meanwhile.
    """
    try:
        relation = con.sql(sql, params=dict(parameters) if parameters else None)
        return pa.table({}) if relation is None else relation.to_arrow_table()
    except duckdb.Error as error:
        # What Arrow says while it reads a bucket reaches us as an error in the input.
        if isinstance(error, duckdb.IOException) or "registered as" in str(error):
            raise Changed(
                f"the store can't be read, or was rewritten meanwhile; ask again: {_first_line(error)}"
            ) from error
        raise BadInput(f"this SQL can't be answered: {str(error).strip()}") from error


@retry(retry=retry_if_exception_type(Changed), stop=TRIES, reraise=True)
def run_sql(store: Store, sql: str) -> pa.Table:
    """Open the store and ask it; again if a writer replaced a file in between.

    Raises:
        BadInput: DuckDB refuses the SQL.
        Unfit: the store can't be read.
    """
    with contextlib.closing(connect(store)) as con:
        return query(con, sql)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _create_runs(con: Connection, inventory: Inventory, steps: Steps, current: int) -> None:
    """`runs` is small and was read to find the others, so it is a table in memory."""
    stored = []
    for version, table in inventory.runs.items():
        name = f"runs_of_version_{version}"
        con.register(name, table)
        stored.append(upgraded(f'"{name}"', "runs", version, steps, current))
    con.execute(f"create table runs as {_shaped(con, 'runs', stored)}")
    for version in inventory.runs:
        con.unregister(f"runs_of_version_{version}")


def _shaped(con: Connection, table: str, stored: Iterable[str]) -> str:
    """A query for all of the stored rows with just the columns of the schema; what a file lacks is null."""
    shape = con.from_arrow(arrow_schema(table).empty_table())
    columns = ", ".join(
        f'null::{kind} as "{name}"' for name, kind in zip(shape.columns, map(str, shape.types), strict=True)
    )
    names = ", ".join(f'"{name}"' for name in shape.columns)
    rows = "".join(f" union all by name select * from {source}" for source in stored)
    return f"select {names} from (select {columns} where false{rows})"


def _stored(con: Connection, store: Store, table: str, parts: Iterable[Part]) -> list[tuple[int, str]]:
    """What to select a table's stored rows from, with their version, in as few reads as can be."""
    whole: dict[int, list[str]] = {}
    sources: list[tuple[int, str]] = []
    for part in parts:
        if part.superseded:
            gone = ", ".join(map(_quoted, part.superseded))
            rows = _read(con, store, table, part.version, [part.name])
            sources.append((part.version, f"(select * from {rows} where run_id not in ({gone}))"))
        else:
            whole.setdefault(part.version, []).append(part.name)
    for version, names in whole.items():
        sources.append((version, _read(con, store, table, version, names)))
    return sources


def _read(con: Connection, store: Store, table: str, version: int, names: list[str]) -> str:
    """What to select the rows of these files from, all of one version."""
    files = store.files
    paths = [files.path(name) for name in names]
    if files.local:
        return f"read_parquet([{', '.join(map(_quoted, paths))}], union_by_name = true)"
    schema = arrow_schema(table) if version == SCHEMA_VERSION else None
    dataset = pyarrow.dataset.dataset(paths, filesystem=files.filesystem, format="parquet", schema=schema)
    view = f"{table}_{digest(b'', *names)}"
    con.register(view, dataset)
    return view


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
