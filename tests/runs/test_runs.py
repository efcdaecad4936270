"""Runs beside each other, and runs that are killed: nothing is lost without a word, whatever is killed and when."""

import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.runs.own_locks import start_run, with_own_locks
from tests.runs.whole_runs import MARK, PATIENCE_S, SHORT, finish, nothing_left_behind, read_until, rows, start_command
from workflows.cli import results

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab's eBPF dataplanes need root"),
    pytest.mark.usefixtures("without_charts"),  # in the reports that are written here, and not by the runs
]

TINY: Final = (*SHORT, "--dataplanes=lab-iptables", "--topologies=pod-to-pod", "--protocols=tcp", "--duration=1")


@dataclass(frozen=True)
class Concurrent:
    """Three runs that were at work at once: their store, their exit codes, and what the last of them printed."""

    store: Path
    codes: tuple[int, ...]
    printed: str

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return rows(self.store, sql)


@pytest.fixture(scope="module")
def concurrent(tmp_path_factory: pytest.TempPathFactory) -> Concurrent:
    """The output of the first is closed at once, that of the second after four lines, as by `run 2>&1 | head -4`."""
    store = tmp_path_factory.mktemp("concurrent")
    argv = (*TINY, "--rounds=1", f"--results={store}")
    with nothing_left_behind():
        first, second = start_run(*argv), start_run(*argv)
        assert first.stdout is not None
        assert second.stdout is not None
        first.stdout.close()
        for _ in range(4):
            second.stdout.readline()
        second.stdout.close()
        code, printed = finish(start_run(*argv))
        return Concurrent(store, (first.wait(PATIENCE_S), second.wait(PATIENCE_S), code), printed)


def test_concurrent_runs(concurrent: Concurrent) -> None:
    assert concurrent.codes == (0, 0, 0), concurrent.printed
    stored = {str(row["run_id"]): str(row["workflow_uid"]) for row in concurrent.rows("select * from runs")}
    assert len(stored) == 3
    assert all(run.endswith(f"-{uid}") for run, uid in stored.items())
    assert set(re.findall(r"/reports/(\S+)/report\.html", concurrent.printed)) < set(stored)
    assert {path.parent.name for path in (concurrent.store / "reports").glob("*/report.html")} == set(stored)
    assert {path.name for path in (concurrent.store / "raw").iterdir()} == set(stored)


def test_third_run_waits_for_the_lock(concurrent: Concurrent) -> None:
    waits = re.search(r"Waiting for local/Mutex/dataplane-benchmark lock: it is held by run (\S+)", concurrent.printed)
    assert waits is not None, concurrent.printed
    assert concurrent.rows(f"select run_id from runs where run_id like '{waits[1]}-%'")


def test_runs_go_on_after_a_broken_pipe(concurrent: Concurrent) -> None:
    """They are measured, stored and reported, and their exit codes say so."""
    assert concurrent.codes[:2] == (0, 0)
    outcomes = concurrent.rows("select outcome from trials")
    assert [row["outcome"] for row in outcomes] == ["measured"] * 3
    assert (concurrent.store / "report.html").exists()


def of_run(words: str, *, but: str = "\0") -> Callable[[], psutil.Process]:
    """The first process of the run under test, the innermost last, whose command line has these words."""

    def find() -> psutil.Process:
        found = [
            p
            for p in psutil.process_iter(["cmdline", "environ", "create_time"])
            if MARK in (p.info["environ"] or {})
            and words in " ".join(p.info["cmdline"] or [])
            and but not in " ".join(p.info["cmdline"] or [])
        ]
        return max(found, key=lambda p: float(p.info["create_time"]))

    return find


BOX: Final = of_run("unshare --mount")
INIT: Final = of_run("box_init.py", but="unshare --mount")
ENGINE: Final = of_run("-m workflows run", but="unshare --mount")


@pytest.mark.parametrize(
    ("whom", "moment", "measured"),
    [
        pytest.param(BOX, "host network 1/", 0, id="the sandbox, in the first visit"),
        pytest.param(INIT, "visit 02", 1, id="the sandbox's first process, in the second visit"),
        pytest.param(ENGINE, "visit 02", 1, id="the engine, in the second visit"),
        pytest.param(ENGINE, "stuck", 2, id="the engine, when all is measured"),
    ],
)
def test_killed_sandbox_or_engine_is_reported_and_the_next_verb_collects_the_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    whom: Callable[[], psutil.Process],
    moment: str,
    measured: int,
) -> None:
    held = stuck_in(tmp_path, "workflows.cli.tables.summary_table") if moment == "stuck" else {}
    with nothing_left_behind():
        process = start_run(*TINY, "--rounds=2", f"--results={tmp_path}", env=held)
        output = read_until(process, moment)
        whom().kill()
        code, rest = finish(process)
    output += rest
    assert code == 137, output
    assert "Traceback" not in output
    sentence = output.strip().splitlines()[-1]
    (run,) = (tmp_path / "raw").iterdir()
    if moment == "stuck":
        assert f"The run {run.name} is stored; its summary was interrupted by SIGKILL" in sentence
    else:
        assert f"What was measured is kept in {run}" in sentence
    assert f"`make report RUN={run.name} RESULTS={tmp_path}`" in sentence
    sql = "select count(*) filter (outcome = 'measured') as n from trials"
    assert results.print_answer(sql=sql, results=str(tmp_path)) == 0
    assert capsys.readouterr().out == f"n\n{measured}\n"
    if measured != 1:  # tests of SIGINT and SIGKILL report runs that were cut short in the second visit
        assert results.report_again(run=run.name, results=str(tmp_path)) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_during_the_summary(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """What makes the summary is held up for ever, as by a library that never comes back."""
    process = start_run(
        *TINY, "--rounds=1", f"--results={tmp_path}", env=stuck_in(tmp_path, "workflows.cli.tables.summary_table")
    )
    output = read_until(process, "succeeded after")
    read_until(process, "stuck")
    process.send_signal(number)
    found, rest = finish(process)
    assert found == code, output + rest
    (run,) = (tmp_path / "raw").iterdir()
    assert f"The run {run.name} is stored; its summary was interrupted by {number.name}." in rest
    assert f"`make report RUN={run.name} RESULTS={tmp_path}` writes it again." in rest


def stuck_in(folder: Path, module: str) -> dict[str, str]:
    """An environment in which loading a module never ends, in C code that no Python handler can interrupt."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            import ctypes\n"
        "            print('stuck', flush=True)\n"
        "            libc = ctypes.PyDLL(None)\n"
        "            while True:\n"
        "                libc.sleep(1000)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    return {"PYTHONPATH": str(folder / "site")}


def test_memory_limit_error_keeps_the_rows(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "workflows", "run", *TINY, "--rounds=1", f"--results={tmp_path}"]
    code, printed = finish(start_command(*with_own_locks("sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh", *argv)))
    assert code == 1, printed
    assert "Traceback" not in printed
    assert "type `ulimit -v unlimited`" in printed
    (run,) = (tmp_path / "raw").iterdir()
    assert f"type `make report RUN={run.name} RESULTS={tmp_path}`" in printed
    assert results.report_again(run=run.name, results=str(tmp_path)) == 0
