"""The one place that runs SQL, so that Ctrl-C ends a statement as KeyboardInterrupt, whatever DuckDB makes of it.

DuckDB looks for signals only between its tasks, of which one may never end, and then raises a RuntimeError. So a thread
waits for Ctrl-C meanwhile and interrupts the connection, which ends such a task too. Where even that does not help, the
process ends.
"""

import contextlib
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Final

import duckdb
import pyarrow as pa

from analysis.console.notices import print_notice
from analysis.statements import spilling

STUBBORN_S: Final = 5
"""How long a statement may go on after Ctrl-C before the process ends."""

AGAIN_S: Final = 1
"""The same after a second Ctrl-C."""

_REPEAT_S: Final = 0.2
"""An interrupt that comes before the statement has begun is lost, so it is sent until there is an end."""

_EXIT_CODE: Final = 130

_OF_DUCKDB: Final = "Query interrupted"
"""The text of the RuntimeError that DuckDB makes of what a signal handler raised."""


def execute(
    con: duckdb.DuckDBPyConnection, statement: str | duckdb.Statement, parameters: Mapping[str, object] | None = None
) -> None:
    """Run a statement whose rows nobody wants.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    with _interruptible(con):
        con.execute(statement, parameters)


def rows_of(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
    """The rows of a query; none for a statement without rows.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    with _interruptible(con):
        relation = con.sql(sql, params=dict(parameters) if parameters else None)
        return pa.table({}) if relation is None else relation.to_arrow_table()


@contextlib.contextmanager
def _interruptible(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    try:
        with _watched(con) if _raises_at_interrupt() else contextlib.nullcontext():
            yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if str(error) != _OF_DUCKDB:
            raise
        raise KeyboardInterrupt from None


def _raises_at_interrupt() -> bool:
    """Whether Ctrl-C is to raise KeyboardInterrupt in this thread; only the main thread may handle signals."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


@contextlib.contextmanager
def _watched(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let a thread interrupt the connection at Ctrl-C, which then raises KeyboardInterrupt only here."""
    came: list[int] = []
    told, told_by = socket.socketpair()
    with told, told_by:
        told_by.settimeout(0)
        watcher = threading.Thread(target=_watch, args=(con, told), daemon=True)
        watcher.start()
        earlier = signal.set_wakeup_fd(told_by.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.set_wakeup_fd(earlier)
            told_by.shutdown(socket.SHUT_WR)
            watcher.join()
    if came:
        raise KeyboardInterrupt


def _watch(con: duckdb.DuckDBPyConnection, told: socket.socket) -> None:
    """Interrupt the connection from the first Ctrl-C to the statement's end; end the process if there is none."""
    deadline = math.inf
    while numbers := _next_signals(told, math.inf if deadline == math.inf else _REPEAT_S):
        now = time.monotonic()
        if signal.SIGINT in numbers:
            deadline = now + STUBBORN_S if deadline == math.inf else min(deadline, now + AGAIN_S)
        if deadline < math.inf:
            con.interrupt()
        if now >= deadline:
            _end_process()


def _next_signals(told: socket.socket, patience_s: float) -> list[int]:
    """The numbers of signals that came, [0] where none came in time, and none once nobody waits for them."""
    told.settimeout(None if patience_s == math.inf else patience_s)
    try:
        return list(told.recv(64))
    except TimeoutError:
        return [0]


def _end_process() -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    print_notice("Interrupted. The database did not stop this query, so the whole program ends.")
    spilling.remove()
    os._exit(_EXIT_CODE)
