"""Runs that are interrupted, and one that is killed: what was measured is kept, and is reported or named."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests import machine
from tests.runs.own_locks import start_run
from tests.runs.whole_runs import FEW, MARK, PATIENCE_S, finish, nothing_left_behind, read_until, rows
from workflows.cli import results
from workflows.cli.run_in_sandbox import ONE_REQUEST_S

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab's eBPF dataplanes need root"),
    pytest.mark.usefixtures("without_charts"),  # in the reports that are written here, and not by the runs
]

EBPF = "--dataplanes=lab-ebpf,lab-ebpf-dsr"


@pytest.mark.parametrize(
    ("dataplanes", "signals"),
    [
        ("--dataplanes=lab-iptables,lab-nftables", (signal.SIGINT,)),
        # as `timeout` does: to the whole group, in which make passes on what it gets
        (EBPF, (signal.SIGTERM, signal.SIGTERM)),
    ],
)
def test_stopped_run_keeps_and_reports_measured_trials(
    tmp_path: Path, dataplanes: str, signals: tuple[signal.Signals, ...]
) -> None:
    with nothing_left_behind():
        process = start_run(*FEW, dataplanes, f"--results={tmp_path}")
        read_until(process, "visit 02")
        read_until(process, "host network 1/")
        assert bool(machine.pinned_programs(machine.processes(MARK))) == (dataplanes == EBPF)
        for number in signals:
            os.killpg(process.pid, number)
            time.sleep(ONE_REQUEST_S / 5)
        code, printed = finish(process)
    assert code == 1, printed
    outcomes = {str(row["outcome"]) for row in rows(tmp_path, "select distinct outcome from trials")}
    assert outcomes >= {"measured", "not-run"}
    early = re.search(r"The run ended early: \d of 4 trials never ran\.", printed)
    assert early is not None, printed
    assert early[0] in (tmp_path / "report.html").read_text()
    assert "Traceback" not in printed


def test_sigint_in_the_preflight(tmp_path: Path) -> None:
    with nothing_left_behind():
        process = start_run(*FEW, EBPF, f"--results={tmp_path}")
        read_until(process, "validate: ")
        os.killpg(process.pid, signal.SIGINT)
        code, printed = finish(process)
    assert code == 130, printed
    assert printed.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in printed


@pytest.mark.parametrize("step", ["collect: ", "report: "])
def test_sigint_after_the_last_trial_loses_nothing(tmp_path: Path, step: str) -> None:
    """Whatever of the last steps had begun is done again on the way out."""
    with nothing_left_behind():
        process = start_run(*FEW, "--dataplanes=lab-iptables", "--rounds=1", f"--results={tmp_path}")
        read_until(process, "visit, about 0:00 left" if step == "collect: " else "collect: ")
        os.killpg(process.pid, signal.SIGINT)
        code, printed = finish(process)
    assert code == 0, printed
    assert {str(row["outcome"]) for row in rows(tmp_path, "select outcome from trials")} == {"measured"}
    assert "ended early" not in printed
    assert (tmp_path / "report.html").exists()
    assert "Traceback" not in printed


def test_second_sigint_ends_at_once_and_names_the_report_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with nothing_left_behind():
        process = start_run(*FEW, EBPF, f"--results={tmp_path}")
        read_until(process, "visit 02")
        os.killpg(process.pid, signal.SIGINT)
        read_until(process, "Stopping: ")
        time.sleep(ONE_REQUEST_S)
        os.killpg(process.pid, signal.SIGINT)
        code, printed = finish(process)
    assert code == 1, printed
    assert "Traceback" not in printed
    asked = re.search(r"type `make report RUN=(\S+) RESULTS=(\S+)`\.", printed)
    assert asked is not None, printed
    assert results.report_again(run=asked[1], results=str(tmp_path)) == 0
    assert "The run ended early: 3 of 4 trials never ran." in capsys.readouterr().out
    assert (tmp_path / "reports" / asked[1] / "report.html").exists()
    assert rows(tmp_path, "select count(*) as n from trials where outcome = 'measured'") == [{"n": 1}]


def test_sigkill_leaves_only_raw_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    with nothing_left_behind():
        process = start_run(*FEW, EBPF, f"--results={tmp_path / 'store'}", env={"TMPDIR": str(aside)})
        read_until(process, "visit 02")
        read_until(process, "host network 1/")
        process.kill()
        process.communicate(timeout=PATIENCE_S)
    assert list(aside.iterdir()) == []
    store = tmp_path / "store"
    assert list((store / "raw").rglob("configure.json"))
    assert rows(store, "select * from runs") == []
    (run,) = (store / "raw").iterdir()
    assert results.report_again(run=run.name, results=str(store)) == 0
    assert "The run ended early: 3 of 4 trials never ran." in capsys.readouterr().out
    assert (store / "reports" / run.name / "report.html").exists()
    assert rows(store, "select count(*) as n from trials where outcome = 'measured'") == [{"n": 1}]
