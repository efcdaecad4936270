"""An SQL prompt over the views of a store."""

import contextlib
import io
import sys
from collections.abc import Callable

from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal
from analysis.errors import BadInput, Problem
from analysis.formatting import count
from analysis.sql import database
from analysis.sql.table_output import print_table
from analysis.store.index.left_out import sentences
from analysis.store.store import Store

HELP = """SQL ends with a semicolon or an empty line. Beside SQL:
  .tables               the tables and views, with their columns
  .questions            the questions that have a name
  .ask NAME [KEY=VALUE] the answer to one of them, such as .ask trend topology=pod-to-service
  .open                 open the store again, with the runs written since
  .quit                 leave, as Ctrl-D does"""


def _line(prompt: str) -> str:
    """A line of the standard input; EOFError at its end, and where it can't be read."""
    if sys.stdin is None:  # it was closed before this program began
        raise EOFError
    try:
        return input(prompt)
    except OSError as error:
        print_notice(f"The standard input can't be read: {error.strerror or error}.")
        raise EOFError from None


def run_shell(store: Store, console: Terminal | None = None, read: Callable[[str], str] | None = None) -> int:
    """Read statements and print their answers until the end of input; returns 0, the exit code.

    `console`: where answers go; the standard output by default. `read`: shows a prompt and gives a line; raises
    EOFError at the end. The standard input by default.

    Raises:
        Unsupported: the store can't be read.
    """
    console, read = console or Terminal(), read or _line
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    with contextlib.ExitStack() as opened:
        con = opened.enter_context(database.connect(store))
        _show_left_out(con, console)
        _remember_lines(con)
        if console.is_terminal:
            runs = database.query(con, "select count(*) as n from runs")["n"][0].as_py()
            console.print(f"{count(runs, 'run')} in {store.url}. Type .help for help.")
        while True:
            try:
                statement = _statement(read if console.is_terminal else lambda _prompt: read(""))
                if statement in {".quit", ".exit"}:
                    break
                if statement == ".open":
                    con = _reopened(store, opened, console)
                elif statement:
                    con = _answer_from(store, con, statement, opened, console)
            except EOFError:
                break
            except KeyboardInterrupt:
                console.print()
            except Problem as problem:
                console.print(str(problem), style="red")
    return 0


def _answer_from(
    store: Store, con: database.Connection, statement: str, opened: contextlib.ExitStack, console: Terminal
) -> database.Connection:
    """Print the answer to a statement; returns the connection, a new one where damaged files had to be left out."""
    try:
        _answer(con, statement, console)
    except Problem as problem:
        if not database.leave_out_more(store, problem):
            raise
        con = _reopened(store, opened, console)
        _answer(con, statement, console)
    return con


def _reopened(store: Store, opened: contextlib.ExitStack, console: Terminal) -> database.Connection:
    fresh = database.connect(store)
    opened.close()
    _show_left_out(fresh, console)
    return opened.enter_context(fresh)


def _show_left_out(con: database.Connection, console: Terminal) -> None:
    """Print what is left out: on a terminal among the answers, elsewhere on standard error."""
    for sentence in sentences(database.left_out(con)):
        if console.is_terminal:
            console.print(sentence, style="yellow", soft_wrap=True)
        else:
            print_notice(sentence)


def _statement(read: Callable[[str], str]) -> str:
    """The next statement or command, of one line or more; EOFError when there is none."""
    lines: list[str] = []
    while True:
        try:
            line = read("...> " if lines else "sql> ")
        except EOFError:
            if lines:
                return "\n".join(lines)
            raise
        if not lines and line.strip().startswith("."):
            return line.strip()
        if line.strip():
            lines.append(line)
        if not line.strip() or line.rstrip().endswith(";"):
            return "\n".join(lines)


def _answer(con: database.Connection, statement: str, console: Terminal) -> None:
    words = statement.split()
    if not statement.startswith("."):
        print_table(database.query(con, statement), console)
    elif words[0] == ".help":
        console.print(HELP)
    elif words[0] == ".tables":
        print_table(database.query(con, database.COLUMNS), console)
    elif words[0] == ".questions":
        for question in database.questions():
            parameters = f" ({', '.join(question.parameters)})" if question.parameters else ""
            console.print(f"{question.name}{parameters}: {question.question}")
    elif words[0] == ".ask" and len(words) > 1:
        pairs = [word.partition("=") for word in words[2:]]
        print_table(database.answer_question(con, words[1], **{key: value for key, _, value in pairs}), console)
    else:
        raise BadInput(f"{words[0]} is no command; type .help to see them")


def _remember_lines(con: database.Connection) -> None:
    """Arrow keys, and completion of names by the tab key, where Python was built with readline."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: PLC0415 - it is not in every Python

        found = database.query(con, database.COLUMNS).to_pylist()
        names = sorted({row["table_name"] for row in found} | {row["column_name"] for row in found})

        def complete(text: str, state: int) -> str | None:
            matching = [name for name in names if name.startswith(text)]
            return matching[state] if state < len(matching) else None

        readline.set_completer(complete)
        readline.parse_and_bind("tab: complete")
