"""The verbs that read the store: say what a run came to, write its report again, ask it questions.

Each says on standard error what killed runs left uncollected, and collects it where those are known to have ended; and
which runs are left out because a file of theirs is damaged.
"""

from collections.abc import Sequence
from contextlib import closing

import pyarrow as pa

from analysis import memory, report
from analysis.console.commands import report_command
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal
from analysis.errors import BadInput, Unsupported
from analysis.sql import database, shell
from analysis.sql.table_output import print_table
from analysis.store.left_out import LeftOut, sentences
from analysis.store.names import check_run_id
from analysis.store.store import Store
from analysis.summary import stored, summary
from steps.catalogue.options import method
from workflows.cli import summary_table, uncollected


def report_again(results: str, run_id: str | None) -> int:
    """Analyse a stored run again, write its report and print it in short. The latest run if none is named.

    A run that was killed before its rows were collected has them collected now, from its raw documents: the one that is
    named, or else each that is known to have ended.

    Raises:
        Problem: there is no such run, it is still at work, or its raw documents don't say what it was.
        Unsupported: the store can't be read or written, or a limit of memory is too low.
    """
    memory.require()
    store, console = Store(results), Terminal()
    if run_id is None:
        collected = uncollected.collect_all(store, print_notice)
    else:
        _check_named(store, run_id)
        run_id = uncollected.run_named(store, run_id)
        found = uncollected.collect(store, run_id)
        collected = [found] if found else []
        for one in collected:
            print_notice(one.sentence)
    name = run_id or _latest_of(store)

    def write() -> tuple[summary.Summary, str]:
        with closing(database.connect(store, run_id=name, asking="")) as con:
            _say_left_out(database.left_out(con))
            latest = _latest(store, con)
            for run in collected:
                if run.run_id != name:
                    _write(store, con, run.run_id, latest=False)
            return _write(store, con, name, latest=name == latest)

    said, address = database.with_sound_files(store, write)
    summary_table.print_summary(said, console)
    console.print()
    console.print(f"Report: {address}", soft_wrap=True)
    return 0


def _write(store: Store, con: database.Connection, run_id: str, *, latest: bool) -> tuple[summary.Summary, str]:
    """Write a run's report, and its verdict where it has none yet; what it says and where it is."""
    said = summary.summarise(con, run_id, method)
    address = store.write_report(run_id, report.render(con, run_id, said), latest=latest)
    if stored.find_summary(store, run_id) is None:
        stored.store_summary(store, said)
    return said, address


def print_answer(results: str, sql: str, question: str) -> int:
    """Print the answer to SQL or to a kept question; without either, what can be asked."""
    store, console = Store(results), Terminal()
    _collect_all(store)

    def answer() -> pa.Table:
        with closing(database.connect(store, asking=sql)) as con:
            _say_left_out(database.left_out(con))
            if sql:
                return _answered(store, con, sql)
            return database.answer_question(con, question) if question else database.query(con, database.COLUMNS)

    print_table(database.with_sound_files(store, answer), console)
    if not sql and not question:
        for known in database.questions():
            console.print(f"{known.name}: {known.question}")
    return 0


def open_shell(results: str) -> int:
    """Read SQL from the terminal until the end of input."""
    store = Store(results)
    _collect_all(store)
    return shell.run_shell(store)


def _collect_all(store: Store) -> None:
    if beware := memory.memory_limit_warning():
        print_notice(beware)
    for run in uncollected.collect_all(store, print_notice):
        print_notice(f"`{report_command(store.url, run.run_id)}` writes its report.")


def _answered(store: Store, con: database.Connection, sql: str) -> pa.Table:
    """The answer to SQL; the store is opened again where a writer replaced a file in between."""
    try:
        return database.query(con, sql)
    except database.ChangedStoreError:
        return database.run_sql(store, sql)


def _check_named(store: Store, run_id: str) -> None:
    """See that a text can name a run, before it becomes part of a path; where it can't, say which runs there are."""
    try:
        check_run_id(run_id)
    except BadInput as problem:
        with closing(database.connect(store, asking="")) as con:
            found = database.query(con, "select run_id from runs order by started_at desc limit 3")["run_id"]
        known = f"the latest are {', '.join(map(str, found))}" if len(found) else "the store holds none yet"
        raise BadInput(f"{problem}; {known}") from problem


def _say_left_out(found: Sequence[LeftOut]) -> None:
    for sentence in sentences(found):
        print_notice(sentence)


def _latest_of(store: Store) -> str:
    with closing(database.connect(store, asking="")) as con:
        return _latest(store, con)


def _latest(store: Store, con: database.Connection) -> str:
    (name,) = database.query(con, "select arg_max(run_id, started_at) as run_id from runs")["run_id"].to_pylist()
    if name is None and (found := database.left_out(con)):
        raise Unsupported("\n".join(sentences(found)))
    if name is None:
        raise BadInput(f"The store {store.url} holds no run yet: measure one with `make run`.")
    return str(name)
