"""The one place that runs SQL, so that Ctrl-C ends a statement as KeyboardInterrupt, whatever DuckDB makes of it.

DuckDB looks for signals only between its tasks, of which one may never end, and only in the main thread, where it makes
a RuntimeError of what their handler raised. So SQL that a person typed is run by a thread of its own, and the main
thread, which waits for it, interrupts the connection at Ctrl-C. Where even that does not help, the process ends.
"""

import contextlib
import functools
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import duckdb
import pyarrow as pa

from analysis import background
from analysis.console.notices import print_notice
from analysis.errors import INTERRUPTED
from analysis.statements import spilling

T = TypeVar("T")

warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)  # see `_rows_of_many`

STUBBORN_S: Final = 5
"""How long a statement may go on after Ctrl-C before the process ends."""

AGAIN_S: Final = 1
"""The same after a second Ctrl-C."""

_LOOK_S: Final = 0.1
"""How often the main thread looks for Ctrl-C while a statement runs."""

_OF_DUCKDB: Final = "Query interrupted"
"""The text of the RuntimeError that DuckDB makes of what a signal handler raised."""


def execute(
    con: duckdb.DuckDBPyConnection, statement: str | duckdb.Statement, parameters: Mapping[str, object] | None = None
) -> None:
    """Run a statement of this program's own whose rows nobody wants.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    _interruptible(lambda: con.execute(statement, parameters))


def rows_of(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
    """The rows of a query of this program's own, which are few, and come to an end.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    return _interruptible(lambda: con.execute(sql, parameters).to_arrow_table())


def rows_of_any(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
    """The rows of any query, also of one that has no end but Ctrl-C; none for a statement without rows.

    It is run by a thread of its own, which takes a quarter of a millisecond more.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    if not _raises_at_interrupt():
        return _rows_of_many(con, sql, parameters)
    came: list[float] = []
    earlier = signal.signal(signal.SIGINT, lambda *_: came.append(time.monotonic()))
    try:
        outcome = background.begin(functools.partial(_rows_of_many, con, sql, parameters))
        while not outcome.done():
            with contextlib.suppress(TimeoutError):
                outcome.exception(_LOOK_S)
            if came and not outcome.done():
                _interrupt(con, came)
    finally:
        signal.signal(signal.SIGINT, earlier)
    if came:
        raise KeyboardInterrupt
    return outcome.result()


def _rows_of_many(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None) -> pa.Table:
    """The rows without a copy of them, which takes two more bindings of the statement."""

    def read() -> pa.Table:
        relation = con.sql(sql, params=dict(parameters) if parameters else None)
        return pa.table({}) if relation is None else relation.to_arrow_table()

    return _interruptible(read)


def _raises_at_interrupt() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt in this thread: signals are handled in the main thread alone."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _interruptible(statement: Callable[[], T]) -> T:
    """The result of a statement; any kind of interrupt is raised as KeyboardInterrupt."""
    try:
        return statement()
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if str(error) != _OF_DUCKDB:
            raise
        raise KeyboardInterrupt from None


def _interrupt(con: duckdb.DuckDBPyConnection, came: Sequence[float]) -> None:
    """Interrupt what runs, again and again, since it may not have begun yet; end the process if that does not help."""
    last = min([came[0] + STUBBORN_S, *(again + AGAIN_S for again in came[1:2])])
    if time.monotonic() >= last:
        _end_process()
    con.interrupt()


def _end_process() -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    print_notice("Interrupted. The database did not stop this query, so the whole program ends.")
    spilling.remove()
    os._exit(INTERRUPTED)
