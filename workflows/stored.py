"""The verbs that read the store: say what a run came to, write its report again, ask it questions."""

from contextlib import closing

from rich.console import Console

from analysis import database, report, shell, summary
from analysis.errors import BadInput
from analysis.show import show
from analysis.store import Store
from workflows import answers


def report_again(results: str, run_id: str | None) -> int:
    """Analyse a stored run again, write its report and print it in short. The latest run if none is named."""
    store, console = Store(results), Console()
    with closing(database.connect(store)) as con:
        name = run_id or _latest(store, con)
        said = summary.summarise(con, name)
        address = store.write_report(name, report.render(con, name, said))
    answers.show(said, console)
    console.print()
    console.print(f"Report: {address}", soft_wrap=True)
    return 0


def ask(results: str, sql: str, question: str) -> int:
    """Print the answer to SQL or to a kept question; without either, what can be asked."""
    store, console = Store(results), Console()
    if sql:
        show(database.run_sql(store, sql), console)
        return 0
    with closing(database.connect(store)) as con:
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


def _latest(store: Store, con: database.Connection) -> str:
    (name,) = database.query(con, "select arg_max(run_id, started_at) as run_id from runs")["run_id"].to_pylist()
    if name is None:
        raise BadInput(f"The store {store.url} holds no run yet: measure one with `make run`.")
    return str(name)
