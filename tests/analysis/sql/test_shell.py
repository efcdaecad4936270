"""The prompt: SQL and its own commands, and errors that don't end it."""

import io
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from analysis.console.terminal import Terminal
from analysis.sql import shell
from analysis.sql.table_output import MOST_ROWS, print_table
from analysis.store.store import Store
from tests.analysis.store.stored import rows


def typed(*lines: str) -> Callable[[str], str]:
    left: Iterator[str] = iter(lines)

    def read(_: str) -> str:
        line = next(left, None)
        if line is None:
            raise EOFError
        if line == "^C":
            raise KeyboardInterrupt
        return line

    return read


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    store.write("run-a", rows("run-a", "x"))
    return store


def session(store: Store, *lines: str, terminal: bool = False) -> str:
    out = io.StringIO()
    assert (
        shell.run_shell(store, Terminal(file=out, width=200, force_terminal=terminal, color_system=None), typed(*lines))
        == 0
    )
    return out.getvalue()


def test_sql_on_one_line_several_lines_and_at_end_of_input(store: Store) -> None:
    assert session(store, "select 1 as a;", "select", "2 as b", "", "select 3 as c") == "a\n1\nb\n2\nc\n3\n"


def test_sql_error_does_not_end_the_shell(store: Store) -> None:
    out = session(store, "selec 1;", ".nothing", ".ask trnd", ".ask trend path=x", "^C", "select 7 as x;")
    assert "this SQL can't be answered" in out
    assert ".nothing is no command; type .help" in out
    assert "did you mean trend?" in out
    assert out.endswith("x\n7\n")


def test_shell_commands(store: Store) -> None:
    out = session(store, ".help", ".tables", ".questions", ".ask trend dataplane=alpha", ".quit", "select 9 as never;")
    assert ".open" in out
    assert "measurements\tdataplane\tVARCHAR" in out
    assert "failures (run_id): What was not measured or does not count, and why?" in out
    assert "\talpha\t" in out
    assert "never" not in out


def test_open_command_shows_new_runs(store: Store) -> None:
    def later(_: str) -> str:
        return next(lines)()

    def write() -> str:
        store.write("run-b", rows("run-b", "x"))
        return ".open"

    count = "select count(*) as n from runs;"
    steps: list[Callable[[], str]] = [lambda: count, write, lambda: count, lambda: ".quit"]
    lines = iter(steps)
    out = io.StringIO()
    shell.run_shell(store, Terminal(file=out), later)
    assert out.getvalue() == "n\n1\nn\n2\n"


def test_terminal_table_shows_null_not_zero(store: Store) -> None:
    out = session(
        store, "select 1.23456789::double as rate_bps, null as nothing, [1, 2] as both, 0 as zero;", terminal=True
    )
    assert "1 run in" in out
    assert "1.23457" in out
    assert "–" in out
    assert "[1, 2]" in out
    assert "1 row" in out


def test_long_result_names_the_rows_left_out() -> None:
    out = io.StringIO()
    print_table(
        pa.table({"n": range(MOST_ROWS + 5)}), Terminal(file=out, force_terminal=True, color_system=None, width=120)
    )
    assert f"5 more of {MOST_ROWS + 5} rows; add a LIMIT" in out.getvalue()


def test_answer_with_too_many_columns_is_printed_as_records() -> None:
    out = io.StringIO()
    answer = pa.table({f"column_{number}": [number * 1e9 + 0.5, None] for number in range(40)})
    print_table(answer, Terminal(file=out, force_terminal=True, color_system=None, width=80))
    lines = out.getvalue().splitlines()
    assert lines[:3] == ["row 1", "column_0   0.5", "column_1   1e+09"]
    assert lines[41:43] == ["row 2", "column_0   –"]
    assert lines[-1] == "2 rows"
    assert len(lines) == 2 * 41 + 1


def test_long_text_is_folded_beside_numbers_and_times_that_are_not() -> None:
    out = io.StringIO()
    time = datetime(2026, 3, 17, 2, 0, tzinfo=UTC)
    answer = pa.table({"run": ["x" * 90], "bps": [2.14019e9], "at": [time], "name": ["y" * 70]})
    print_table(answer, Terminal(file=out, force_terminal=True, color_system=None, width=80))
    printed = out.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    assert "2.14019e+09" in printed
    assert "2026-03-17 02:00:00Z" in printed
    assert (printed.count("x"), printed.count("y")) == (90, 70)


def test_text_with_newlines_stays_on_one_line() -> None:
    out = io.StringIO()
    print_table(pa.table({"a": ["x\ty\nz", None]}), Terminal(file=out))
    assert out.getvalue() == "a\nx y z\n\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_date_that_python_does_not_have_is_printed_as_such(terminal: bool) -> None:  # noqa: FBT001
    out = io.StringIO()
    dates = pa.array([0, 2**30, None], pa.date32())
    print_table(pa.table({"day": dates}), Terminal(file=out, force_terminal=terminal, color_system=None, width=80))
    lines = [line.strip() for line in out.getvalue().splitlines()]
    assert lines[1:3] == ["1970-01-01", "out of range"]


@pytest.mark.parametrize(
    ("zone", "text"), [(None, "2020-01-01T00:00:00.123456789"), ("UTC", "2020-01-01T00:00:00.123456789Z")]
)
def test_time_in_nanoseconds_has_all_its_digits(zone: str | None, text: str) -> None:
    out = io.StringIO()
    times = pa.array([1_577_836_800_123_456_789, None], pa.timestamp("ns", zone))
    print_table(pa.table({"at": times}), Terminal(file=out))
    assert out.getvalue() == f"at\n{text}\n\n"


@pytest.mark.parametrize(
    "expression",
    [
        "timestamptz '100000-01-01'",
        "timestamptz '40000-01-01'",
        "'infinity'::timestamptz",
        "'-infinity'::timestamptz",
        "[timestamp_ns '2020-01-01 00:00:00.123456789']",
        "{'d': date '20000-01-01'}",
        "[date '20000-01-01']",
        "map {'d': date '20000-01-01'}",
        "union_value(d := date '20000-01-01')",
    ],
)
def test_value_that_python_does_not_have_is_printed_as_such(expression: str) -> None:
    out = io.StringIO()
    with duckdb.connect() as con:
        print_table(con.sql(f"select {expression} as a").to_arrow_table(), Terminal(file=out))
    assert out.getvalue() == "a\nout of range\n"


def test_answer_without_rows_names_its_columns_on_a_narrow_terminal() -> None:
    out = io.StringIO()
    answer = pa.table({f"column_{number}": pa.array([], pa.float64()) for number in range(40)})
    print_table(answer, Terminal(file=out, force_terminal=True, color_system=None, width=80))
    assert out.getvalue().splitlines() == [*(f"column_{number}" for number in range(40)), "0 rows"]


@pytest.mark.parametrize("standard_input", ["<&-", "< binary"])
def test_shell_reads_closed_or_binary_input_to_its_end(store: Store, tmp_path: Path, standard_input: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00;\n")
    code = (
        "import sys; from analysis.sql.shell import run_shell; from analysis.store.store import Store; "
        "run_shell(Store(sys.argv[1]))"
    )
    words = shlex.join([sys.executable, "-c", code, store.url])
    environment = {**os.environ, "PYTHONPATH": str(Path(shell.__file__).parents[2])}
    done = subprocess.run(
        ["bash", "-c", f"{words} {standard_input}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_failing_input_is_reported_and_closed(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_prompt: str) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("builtins.input", fail)
    assert shell.run_shell(store) == 0
    assert capsys.readouterr().err == "The standard input can't be read: Input/output error.\n"
