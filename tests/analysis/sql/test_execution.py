"""Ctrl-C while DuckDB is at work: KeyboardInterrupt wherever SQL is run, and the end of a process that goes on."""

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import duckdb
import pytest

import analysis
import steps
import workflows
from analysis.statements import execution
from tests.waiting import until

PATIENCE_S = 60

MANY_TASKS = "select count(*) from range(1000000000000) a, range(1000000000) b"
"""DuckDB looks for signals between the tasks of this one."""

ONE_TASK = "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t"
"""This one has a task that never ends."""

MARKED = """
import pathlib, runpy, sys
from analysis.statements import execution

mark, run = pathlib.Path(sys.argv.pop(1)), execution.rows_of_any

def rows_of_any(con, sql, parameters=None):
    if "select count(*) from range" in sql or "recursive t(n)" in sql:
        mark.touch()
    return run(con, sql, parameters)

execution.rows_of_any = rows_of_any
runpy.run_module("workflows", run_name="__main__")
"""

ENDED = "Interrupted. The database did not stop this query, so the whole program ends.\n"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect()) as opened:
        yield opened


@pytest.fixture
def _interrupts_raise() -> Iterator[None]:
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


@pytest.mark.usefixtures("_interrupts_raise")
@pytest.mark.parametrize("sql", [MANY_TASKS, ONE_TASK])
def test_interrupt_of_a_query_leaves_its_connection_usable(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        execution.rows_of_any(con, sql)
    timer.join()
    assert execution.rows_of(con, "select 7 as x").to_pylist() == [{"x": 7}]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("_interrupts_raise")
def test_interrupt_that_comes_as_the_statement_ends_is_not_lost(con: duckdb.DuckDBPyConnection) -> None:
    def interrupt() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return 1

    con.create_function("interrupt", interrupt, [], "INTEGER")
    with pytest.raises(KeyboardInterrupt):
        execution.rows_of_any(con, "select interrupt()")


@pytest.mark.parametrize("raised", [RuntimeError("Query interrupted"), duckdb.InterruptException("Interrupted!")])
def test_what_duckdb_makes_of_an_interrupt_is_one_again(raised: Exception) -> None:
    con = mock.Mock(**{"execute.side_effect": raised})
    with pytest.raises(KeyboardInterrupt):
        execution.execute(con, "select 1")


def test_another_error_of_the_run_time_stays() -> None:
    con = mock.Mock(**{"execute.side_effect": RuntimeError("can't start new thread")})
    with pytest.raises(RuntimeError, match="start new thread"):
        execution.execute(con, "select 1")


class Uninterruptible:
    """A connection that ignores interrupts."""

    def interrupt(self) -> None:
        sys.stdout.write("interrupted\n")
        sys.stdout.flush()

    def sql(self, *_: object, **__: object) -> None:
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        threading.Event().wait(PATIENCE_S)


@pytest.mark.parametrize(("signals", "at_most_s"), [(1, 20), (2, 4.9)])
def test_statement_that_ignores_the_interrupt_ends_the_process(signals: int, at_most_s: float) -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background\n"
        "from analysis.statements import execution, spilling\n"
        "from tests.analysis.sql.test_execution import Uninterruptible\n"
        "print(spilling.spill_folder(), flush=True); execution.rows_of_any(Uninterruptible(), '')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip()).parent
        assert process.stdout.readline() == "begun\n"
        assert folder.is_dir()
        begun = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
        _, trouble = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, trouble) == (130, ENDED)
    assert time.monotonic() - begun < at_most_s
    assert not folder.exists()


@pytest.mark.parametrize("sql", [MANY_TASKS, ONE_TASK])
def test_interrupt_of_a_query_ends_it_with_a_sentence(tmp_path: Path, sql: str) -> None:
    mark = tmp_path / "mark"
    with _verb(mark, "query", f"--results={tmp_path}/results", f"--sql={sql}") as process:
        _interrupt_at_work(process, mark)
        printed, trouble = process.communicate(timeout=PATIENCE_S)
    assert (printed, trouble.splitlines()[1:], process.returncode) == ("", ["Interrupted."], 130)


def test_interrupt_of_a_query_in_the_shell_leaves_the_session(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with _verb(mark, "shell", f"--results={tmp_path}/results") as process:
        assert process.stdin is not None
        for sql in (MANY_TASKS, ONE_TASK):
            process.stdin.write(f"{sql};\n")
            process.stdin.flush()
            _interrupt_at_work(process, mark)
        printed, trouble = process.communicate("select 7 as x;\n", timeout=PATIENCE_S)
    assert (printed, trouble.splitlines()[1:], process.returncode) == ("\n\nx\n7\n", [], 0)


def _verb(mark: Path, *argv: str) -> subprocess.Popen[str]:
    """A verb that leaves a mark when it begins a query that has no end."""
    return subprocess.Popen(
        [sys.executable, "-c", MARKED, str(mark), *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _interrupt_at_work(process: subprocess.Popen[str], mark: Path) -> None:
    until(lambda: mark.exists() or process.poll() is not None, PATIENCE_S)
    mark.unlink()
    process.send_signal(signal.SIGINT)


def test_no_other_module_runs_sql() -> None:
    callers = {
        str(file)
        for package in (analysis, steps, workflows)
        for file in Path(package.__path__[0]).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in {"execute", "executemany", "sql", "query_df", "from_query"}
    }
    assert callers == {execution.__file__}
