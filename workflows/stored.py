"""The verbs that read the store: say what a run came to, write its report again, ask it questions."""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from analysis import database, report, shell, summary, verdict
from analysis.errors import BadInput, Unfit
from analysis.integrity.left_out import LeftOut, sentences
from analysis.show import show
from analysis.store import Store, check_run_id
from steps import collect
from workflows import answers


def report_again(results: str, run_id: str | None) -> int:
    """Analyse a stored run again, write its report and print it in short. The latest run if none is named.

    One that was killed before its rows were collected has them collected now, from its raw documents.

    Raises:
        Problem: there is no such run, or its raw documents don't say what it was.
        Unfit: the store can't be read or written.
    """
    store, console = Store(results), Console()
    if run_id is not None:
        _check_named(store, run_id)
    collected = run_id is not None and _collect(store, run_id)
    name = run_id or _latest_of(store)
    with closing(database.connect(store, run_id=name, asking="")) as con:
        _say_left_out(database.left_out(con))
        latest = _latest(store, con)
        said = summary.summarise(con, name)
        address = store.write_report(name, report.render(con, name, said), latest=name == latest)
        if collected:
            verdict.keep(store, said)
    answers.show(said, console)
    console.print()
    console.print(f"Report: {address}", soft_wrap=True)
    return 0


def ask(results: str, sql: str, question: str) -> int:
    """Print the answer to SQL or to a kept question; without either, what can be asked."""
    store, console = Store(results), Console()
    with closing(database.connect(store, asking=sql)) as con:
        _say_left_out(database.left_out(con))
        if sql:
            show(_answered(store, con, sql), console)
            return 0
        if question:
            show(database.ask(con, question), console)
            return 0
        show(database.query(con, database.COLUMNS), console)
    for known in database.questions():
        console.print(f"{known.name}: {known.question}", markup=False, highlight=False)
    return 0


def open_shell(results: str) -> int:
    """Read SQL from the terminal until the end of input."""
    return shell.run(Store(results))


def _collect(store: Store, run_id: str) -> bool:
    """Make the rows of a run that has raw documents and no rows. Whether there was such a run."""
    folder = f"raw/{run_id}"
    ended_at = None if _has_rows(store, run_id) else store.files.last_put(folder)
    if ended_at is None:
        return False
    with tempfile.TemporaryDirectory(prefix="dataplane-benchmark-") as here:
        documents = Path(here)
        store.files.fetch(folder, documents)
        rows = collect.rows(documents, collected_at=ended_at)
    store.write(run_id, rows)
    return True


def _has_rows(store: Store, run_id: str) -> bool:
    return any(run_id in runs["run_id"].to_pylist() for runs in store.inventory().runs.values())


def _answered(store: Store, con: database.Connection, sql: str) -> pa.Table:
    """The answer to SQL; the store is opened again where a writer replaced a file in between."""
    try:
        return database.query(con, sql)
    except database.Changed:
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
        print(sentence, file=sys.stderr)  # noqa: T201 - this is the command line


def _latest_of(store: Store) -> str:
    with closing(database.connect(store, asking="")) as con:
        return _latest(store, con)


def _latest(store: Store, con: database.Connection) -> str:
    (name,) = database.query(con, "select arg_max(run_id, started_at) as run_id from runs")["run_id"].to_pylist()
    if name is None and (found := database.left_out(con)):
        raise Unfit("\n".join(sentences(found)))
    if name is None:
        raise BadInput(f"The store {store.url} holds no run yet: measure one with `make run`.")
    return str(name)
