"""The verbs report, query and shell, which read the store.

Each collects runs that were killed, where they are known to have ended, and names on standard error the runs that are
not collected, and those that are left out because a file is damaged. A query of a store without any run has its answer,
and a sentence there says so.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from analysis import memory
from analysis.console.commands import question_command, report_command
from analysis.console.documents import PrintableDocument, print_document
from analysis.console.markdown import code, escape
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal
from analysis.errors import BadInput, Unsupported
from analysis.sql import database, shell
from analysis.sql.answer_document import KnownQuestion, answer_grid, answer_markdown, query_document
from analysis.sql.table_output import print_table
from analysis.store.index import selection
from analysis.store.index.left_out import LeftOut, sentences
from analysis.store.index.names import check_run_id
from analysis.store.schema import TABLES
from analysis.store.store import Store
from analysis.summary.run import stored, summary
from analysis.summary.run.markdown import to_markdown
from steps.catalogue.options import method
from workflows.cli import uncollected
from workflows.cli.opened_store import open_store
from workflows.cli.tables import summary_table
from workflows.flags.common import AsOwnerFlag, FormatFlag, ResultsFlag

_LATEST = "select arg_max(run_id, coalesce(started_at, '0001-01-01 00:00:00+00'::timestamptz)) as run_id from runs"
"""A run whose time is unknown, as of an imported one, counts as the earliest."""


def report_again(
    *,
    run: Annotated[str, Parameter(help="The run's name; the latest if empty.")] = "",
    results: ResultsFlag = "results",
    as_owner: AsOwnerFlag = False,
    format: FormatFlag = "text",  # noqa: A002 - the flag's name
) -> int:
    """Analyse a stored run again, write its report and print its summary.

    Runs that were killed before their rows were collected are collected from their raw documents: the named run, or
    else all that are known to have ended.

    Raises:
        Problem: there is no such run, it is still active, or its raw documents are damaged.
        Unsupported: the store can't be read or written, or a limit of memory is too low.
    """
    from analysis.report import INTERACTIVE  # noqa: PLC0415 - drawing takes longer to import than a query to answer

    memory.require()
    store = open_store(results, as_owner=as_owner)
    if run:
        _check_named(store, run)
        name = uncollected.run_named(store, run)
        found = uncollected.collect(store, name)
        collected = [found] if found else []
        for one in collected:
            print_notice(one.sentence)
    else:
        collected = uncollected.collect_all(store, print_notice)
        with closing(database.connect(store, asking=_LATEST, choice=selection.latest_runs)) as con:
            name = _latest(store, con)

    _check_takes_reports(store)

    def write() -> tuple[summary.Summary, str]:
        choice = selection.either(selection.beside(name, *(one.run_id for one in collected)), selection.latest_runs)
        with closing(database.connect(store, run_id=name, asking="", choice=choice)) as con:
            _print_left_out(database.left_out(con))
            latest = _latest(store, con)
            for one in collected:
                if one.run_id != name:
                    _write(store, con, one.run_id, latest=False)
            return _write(store, con, name, latest=name == latest)

    found_summary, address = database.with_sound_files(store, write)
    beside = {"Report": address, "Interactive": store.location(f"reports/{name}/{INTERACTIVE}")}
    beside["Markdown"] = store.location(f"reports/{name}/summary.md")
    print_document(summary_table.document(found_summary, beside), format)
    return 0


def _check_takes_reports(store: Store) -> None:
    """Refuse before anything is drawn; the store itself can be read."""
    try:
        store.check_writable(dry=True)
    except Unsupported as problem:
        raise Unsupported(
            f"{problem}. A report is written into its store: copy this one to where it can be, and give that as "
            f"RESULTS. `{question_command(store.url, 'latest')}` reads it here."
        ) from problem


def _write(store: Store, con: database.Connection, run_id: str, *, latest: bool) -> tuple[summary.Summary, str]:
    """Write a run's report, and store its summary if none can be read there; returns it and the report's address."""
    from analysis import report  # noqa: PLC0415 - as above

    found = summary.summarise(con, run_id, method)
    place = store.location(f"reports/{run_id}/report.html")
    files = report.render_pages(con, run_id, found).files | {"summary.md": to_markdown(found, place)}
    address = store.write_report(run_id, files, latest=latest)
    if stored.find_summary(store, run_id) is None:
        stored.store_summary(store, found)
    return found, address


def print_answer(
    *,
    sql: Annotated[str, Parameter(help="A statement over the views runs, visits, trials, samples, measurements.")] = "",
    question: Annotated[str, Parameter(help="One of the stored questions, such as trend.")] = "",
    results: ResultsFlag = "results",
    as_owner: AsOwnerFlag = False,
    format: FormatFlag = "text",  # noqa: A002 - the flag's name
) -> int:
    """Print the answer to SQL or to a stored question; without either, the views and the questions.

    Raises:
        BadInput: both are given, or the question is unknown.
    """
    if sql and question:
        raise BadInput("--sql and --question exclude each other: give one of them.")
    store = open_store(results, as_owner=as_owner)
    _collect_all(store)
    asking = sql or database.COLUMNS

    def answer() -> pa.Table:
        con = database.connect_to_ask(store, question) if question else database.connect(store, asking=asking)
        with closing(con):
            _print_left_out(database.left_out(con))
            return database.answer_question(con, question) if question else _answer(store, con, asking)

    print_document(_document(database.with_sound_files(store, answer), question, listing=not sql), format)
    return 0


def _document(answer: pa.Table, question: str, *, listing: bool) -> PrintableDocument:
    """The answer to a query; with `listing` and no question, and all questions."""
    known = (
        ()
        if question or not listing
        else tuple(KnownQuestion(name=each.name, question=each.question) for each in database.questions())
    )

    def text(console: Terminal) -> None:
        print_table(answer, console)
        for each in known:
            console.print(f"{each.name}: {each.question}")

    def markdown() -> str:
        return "\n".join([answer_markdown(answer), "", *(f"- {code(q.name)}: {escape(q.question)}" for q in known)])

    return PrintableDocument(
        model=lambda: query_document(answer, question or None, known),
        grid=lambda: answer_grid(answer),
        markdown=markdown,
        text=text,
    )


def open_shell(*, results: ResultsFlag = "results", as_owner: AsOwnerFlag = False) -> int:
    """Read SQL from the terminal until the end of input."""
    store = open_store(results, as_owner=as_owner)
    _collect_all(store)
    return shell.run_shell(store)


def _collect_all(store: Store) -> None:
    if warning := memory.memory_limit_warning():
        print_notice(warning)
    for run in uncollected.collect_all(store, print_notice):
        print_notice(f"`{report_command(store.url, run.run_id)}` writes its report.")
    # nothing of any run, not even of one that is still active or has lost a file
    if uncollected.RAW not in store.files.folders("") and not any(map(store.files.list, TABLES)):
        print_notice(
            f"RESULTS is {store.url}, where there is no run yet: name the folder or bucket that your runs are in, or "
            "measure one with `make run`."
        )


def _answer(store: Store, con: database.Connection, sql: str) -> pa.Table:
    """The answer to SQL; the store is opened again where a writer replaced a file in between."""
    try:
        return database.query(con, sql)
    except database.ChangedStoreError:
        return database.run_sql(store, sql)


def _check_named(store: Store, run_id: str) -> None:
    """Refuse a text that can't name a run, before it becomes part of a path; the sentence names the latest runs."""
    try:
        check_run_id(run_id)
    except BadInput as problem:
        latest = selection.last_begun(store.inventory(choice=selection.no_run).runs.values())
        known = f"the latest are {', '.join(latest)}" if latest else "the store has none yet"
        raise BadInput(f"{problem}; {known}") from problem


def _print_left_out(found: Sequence[LeftOut]) -> None:
    for sentence in sentences(found):
        print_notice(sentence)


def _latest(store: Store, con: database.Connection) -> str:
    (name,) = database.query(con, _LATEST)["run_id"].to_pylist()
    if name is None and (found := database.left_out(con)):
        raise Unsupported("\n".join(sentences(found)))
    if name is None:
        raise BadInput(f"The store {store.url} has no run yet: measure one with `make run`.")
    return str(name)
