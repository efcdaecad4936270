"""DuckDB over a store: the four tables and views derived from them, the questions in `queries/`, and any SQL."""

import contextlib
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Final, TypeVar

import duckdb
import pyarrow as pa
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from analysis.errors import BadInput, Problem, Unsupported
from analysis.sql import table_views, view_statements
from analysis.sql.view_statements import VIEWS
from analysis.statements.execution import execute, rows_of_any
from analysis.statements.spilling import spill_folder
from analysis.store.files.file_content import first_line_of_error
from analysis.store.index.left_out import LeftOut
from analysis.store.index.selection import Choice, every_run, latest_runs, no_run, of_environment, one_run
from analysis.store.integrity.audit import ALWAYS, EVERY, Extent
from analysis.store.schema import TABLES
from analysis.store.store import Store

Connection = duckdb.DuckDBPyConnection

T = TypeVar("T")

COLUMNS: Final = """
select table_name, column_name, data_type
from information_schema.columns
where table_schema = 'main'
order by table_name, ordinal_position
"""
"""The tables, views and their columns, as a query."""

TRIES: Final = stop_after_attempt(15)
"""A writer may just have replaced a file: then the store is opened again. Several writers may do so in a row."""

_NO_MORE_FILES: Final = "Too many open files"

MEMORY_LIMIT: Final = "640MB"
"""Above it DuckDB spills to disk: a report must be made in a pod of 1 GiB."""

_KEPT: Final = "16MB"

_COSTLY_OPTIMIZER: Final = "projection_placement"
"""It makes the planning of the views' joins of 150 columns four times as slow. DuckDB has it from version 2 on."""


class ChangedStoreError(Unsupported):
    """A file that the views read is gone or can't be read; opening the store again usually helps."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query with a name, `queries/NAME.sql`. Each of its `parameters` may be left out."""

    name: str
    question: str
    parameters: tuple[str, ...]
    sql: str


def connect(
    store: Store,
    *,
    run_id: str | None = None,
    asking: str | None = None,
    choice: Choice = every_run,
    verdicts: bool = True,
) -> Connection:
    """Open the store as it is now: views `runs`, `visits`, `trials`, `samples`, and those in `views/`.

    The views show whole runs only; the table `left_out` lists the others, and why. Times have a zone, UTC; fetch
    them by `to_arrow_table()`.

    Args:
        store: where the results are. An empty one gives the same views, without rows.
        run_id: a run that is to be reported: each of its files is compared with its digest.
        asking: the SQL to come, of which each table is there. None: it is not known. Empty: many queries of any table
            but samples, so that a small one is read once, and not by each of them.
        choice: the runs that it is about; the views of visits, trials and samples may lack all others.
        verdicts: whether `runs` has them; without, they are null.

    Returns:
        A connection to a database in memory, which is the caller's to close.

    Raises:
        Unsupported: the store can't be read.
    """
    try:
        return _opened(store, replace(_extent(asking, run_id), verdicts=verdicts), choice, often=asking == "")
    except (duckdb.Error, pa.ArrowException, FileNotFoundError) as error:
        raise Unsupported(f"can't read {store.url}: {first_line_of_error(error)}; {_remedy(error)}") from error


def connect_to_ask(store: Store, name: str, **parameters: object) -> Connection:
    """Open the store for one question with these parameters: no file is opened that its answer does not need.

    Raises:
        Unsupported: the store can't be read.
    """
    asked = next((question for question in questions() if question.name == name), None)
    if asked is None:
        return connect(store, asking="", choice=no_run)  # `answer_question` says that it is unknown
    environment, run_id = parameters.get("environment"), parameters.get("run_id")
    choice: Choice = every_run
    if "run_id" in asked.parameters:  # it is about the run given, or else about the last of each environment
        choice = latest_runs if run_id is None else one_run(str(run_id))
    elif environment is not None:
        choice = of_environment(str(environment))
    return connect(store, asking=asked.sql, choice=choice, verdicts="verdict" in asked.sql)


def _extent(asking: str | None, run_id: str | None) -> Extent:
    """What is read for this SQL: samples are many, and in few questions."""
    words = view_statements.words(asking or "")
    if asking is None or "samples" in words:
        return Extent(EVERY, EVERY, run_id)
    about_all = words and ("left_out" in words or words.isdisjoint({*TABLES, "usable_trials", *VIEWS}))
    return Extent(EVERY if about_all else ALWAYS, ALWAYS, run_id)


def _remedy(error: Exception) -> str:
    if _NO_MORE_FILES in str(error):
        return "raise the limit of open files (ulimit -n)"
    return "try again; if it stays so, put the file back from a copy"


@retry(retry=retry_if_exception_type((duckdb.IOException, FileNotFoundError)), stop=TRIES, reraise=True)
def _opened(store: Store, extent: Extent, choice: Choice, *, often: bool) -> Connection:
    with contextlib.ExitStack() as stack:
        con = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": spill_folder(),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                # what a large query has freed goes back to the system, where the drawing of charts needs it next
                "allocator_flush_threshold": _KEPT,
                "allocator_bulk_deallocation_flush_threshold": _KEPT,
            }
        )
        stack.callback(con.close)
        execute(con, "set parquet_metadata_cache = true")  # a file of the store never changes
        with contextlib.suppress(duckdb.ParserException):  # of a DuckDB that does not have it
            execute(con, f"set disabled_optimizers = '{_COSTLY_OPTIMIZER}'")
        inventory = store.inventory(
            extent.digested, extent.run_id, tables=extent.tables, choice=choice, verdicts=extent.verdicts
        )
        table_views.create(con, store, inventory, sorted(extent.tables), often=often)
        stack.pop_all()
    return con


def left_out(con: Connection) -> list[LeftOut]:
    """The runs that no view shows, each with the reason."""
    return [LeftOut(**row) for row in query(con, "select * from left_out").to_pylist()]


def questions() -> list[Question]:
    """The questions of `queries/`, sorted by name."""
    found = []
    for file in sorted(resources.files("analysis").joinpath("queries").iterdir(), key=lambda f: f.name):
        name, dot, kind = file.name.rpartition(".")
        if dot and kind == "sql":
            text = view_statements.with_scale(file.read_text())
            parameters = tuple(sorted(set(re.findall(r"\$([a-z_]+)\b", text))))
            found.append(Question(name, text.partition("\n")[0].removeprefix("--").strip(), parameters, text))
    return found


def answer_question(con: Connection, name: str, **parameters: object) -> pa.Table:
    """The answer to one of the questions.

    A parameter that is left out means any, but `run_id`: the last run of each environment.

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
        return rows_of_any(con, sql, parameters)
    except duckdb.Error as error:
        # DuckDB reports an error of Arrow, which reads a bucket, as an error in the input.
        if isinstance(error, duckdb.IOException) or "registered as" in str(error):
            again = _remedy(error) if _NO_MORE_FILES in str(error) else "ask again"
            raise ChangedStoreError(
                f"the store can't be read, or was rewritten meanwhile; {again}: {first_line_of_error(error)}"
            ) from error
        raise BadInput(f"this SQL can't be answered: {str(error).strip()}") from error


def with_sound_files(store: Store, read: Callable[[], T]) -> T:
    """The result of a function that opens the store and queries it.

    A file can be what its name and its footer say, and yet fail to decode, and so would every query that reads it.
    Then such files are looked for and left out, and the function is called again, as it is where a writer has replaced
    a file.

    Raises:
        Exception: what the function raised, if no file is at fault.
    """
    try:
        return read()
    except (duckdb.Error, Problem) as error:
        if not leave_out_more(store, error) and not isinstance(error, (ChangedStoreError, duckdb.IOException)):
            raise
    return read()


def leave_out_more(store: Store, error: Exception) -> bool:
    """After an error of a query, leave out the files that can't be decoded; whether there are such files."""
    cause = error if isinstance(error, duckdb.Error) else error.__cause__
    about_sql = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
    return isinstance(cause, duckdb.Error) and not isinstance(cause, about_sql) and store.leave_out_undecodable()


@retry(retry=retry_if_exception_type(ChangedStoreError), stop=TRIES, reraise=True)
def run_sql(store: Store, sql: str) -> pa.Table:
    """Open the store and run a query; again if a writer replaced a file in between.

    Raises:
        BadInput: DuckDB refuses the SQL.
        Unsupported: the store can't be read.
    """
    with contextlib.closing(connect(store, asking=sql)) as con:
        return query(con, sql)
