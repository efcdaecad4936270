"""The whole process, as a user starts it: real dataplanes, real iperf3, the real workflow, rows and a report."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from analysis.sql import database
from analysis.store.store import Store
from tests import machine
from tests.ordinary import AS_NOBODY, ROOT, environment
from tests.waiting import until
from workflows.cli import results

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab's eBPF dataplanes need root"),
]

SHORT = ("--profile=smoke", "--seed=7", "--services=10", "--foreign-cpu-limit=1")
"""However busy the machine is, no trial is measured again: here it counts that things work, not how fast."""

PATIENCE_S = 600
"""However busy the machine is: a run that waits for others is not one that hangs."""
MARK = f"STARTED_BY_TEST_{uuid.uuid4().hex}"


def start(*flags: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return start_command(sys.executable, "-m", "workflows", "run", *flags, env=env)


def start_command(*argv: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, MARK: "", **(env or {})},
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    printed, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, printed


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output so far, up to and with the line that holds the text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} never came:\n{''.join(lines)}")


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """No process of the run, and no new named network namespace or eBPF program outside a sandbox."""

    def namespaces() -> set[str]:
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        return set(listed.split())

    def left() -> tuple[list[str], set[str], set[int]]:
        running = [" ".join(p.info["cmdline"] or []) for p in machine.processes(MARK)]
        return running, namespaces() - named, programs.look()

    named, programs = namespaces(), machine.NewStrayPrograms()
    yield
    with suppress(AssertionError):
        until(lambda: not any(left()))
    assert left() == ([], set(), set())


def rows(store: Path, sql: str) -> list[dict[str, Any]]:
    with database.connect(Store(str(store))) as con:
        found: list[dict[str, Any]] = database.query(con, sql).to_pylist()
    return found


def test_run_of_all_four_lab_dataplanes(tmp_path: Path) -> None:
    with nothing_left_behind():
        code, printed = finish(start(*SHORT, f"--results={tmp_path}"))
    assert code == 0, printed
    visits = rows(tmp_path, "select * from visits order by visit")
    assert len(visits) == 8
    assert all(v["proof"] == "proven" and v["dataplane_observed"] == v["dataplane_requested"] for v in visits)
    figures_bps = [visit[moment] for visit in visits for moment in ("canary_before_bps", "canary_after_bps")]
    assert len({f"{bps:.3g}" for bps in figures_bps}) > 1, "a canary that is equal to three digits measures nothing"
    trials = rows(tmp_path, "select * from trials")
    assert {t["outcome"] for t in trials} == {"measured"}
    assert any(t["host_network_bps"] for t in trials), "unless others disturb every reference and no trial"
    assert all((t["received_bps"] or 0) > 0 for t in trials if t["tool"] == "iperf3")
    dsr = rows(
        tmp_path,
        "select dataplane, max(nat_bytes_per_payload_byte) as tunnelled from measurements "
        "where topology = 'external-to-nodeport' group by all",
    )
    through = {str(row["dataplane"]): float(row["tunnelled"]) for row in dsr}
    assert through["lab-ebpf-dsr"] < 0.1
    assert all(ratio > 0.9 for name, ratio in through.items() if name != "lab-ebpf-dsr")
    (run,) = rows(tmp_path, "select * from runs")
    assert f"{tmp_path}/reports/{run['run_id']}/report.html" in printed
    assert "<script" not in (tmp_path / "report.html").read_text()
    assert len(list((tmp_path / "raw").rglob("*.json.gz"))) == len(trials) + 2 * len(visits)


FEW = (*SHORT, "--topologies=pod-to-pod", "--protocols=tcp")
EBPF = "--dataplanes=lab-ebpf,lab-ebpf-dsr"


@pytest.mark.parametrize("dataplanes", ["--dataplanes=lab-iptables,lab-nftables", EBPF])
def test_sigint_keeps_and_reports_measured_trials(tmp_path: Path, dataplanes: str) -> None:
    with nothing_left_behind():
        process = start(*FEW, dataplanes, f"--results={tmp_path}")
        read_until(process, "visit 02")
        read_until(process, "host network 1/")
        assert bool(machine.pinned_programs(machine.processes(MARK))) == (dataplanes == EBPF)
        os.killpg(process.pid, signal.SIGINT)
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
        process = start(*FEW, EBPF, f"--results={tmp_path}")
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
        process = start(*FEW, EBPF, "--rounds=1", f"--results={tmp_path}")
        read_until(process, "visits, about 0:00 left" if step == "collect: " else "collect: ")
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
        process = start(*FEW, EBPF, f"--results={tmp_path}")
        read_until(process, "visit 02")
        os.killpg(process.pid, signal.SIGINT)
        read_until(process, "Stopping: ")
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
        process = start(*FEW, EBPF, f"--results={tmp_path / 'store'}", env={"TMPDIR": str(aside)})
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


def test_dying_iperf3_server_makes_failed_trials_and_exit_code_1(tmp_path: Path) -> None:
    """The iperf3 that the lab finds ends after each third of a second, in the middle of every trial."""
    programs = tmp_path / "bin"
    programs.mkdir()
    real = subprocess.run(["which", "iperf3"], capture_output=True, text=True, check=True).stdout.strip()
    (programs / "iperf3").write_text(
        f'#!/bin/sh\ncase " $* " in *" -s "*) exec timeout -s KILL 0.7 {real} "$@";; *) exec {real} "$@";; esac\n'
    )
    (programs / "iperf3").chmod(0o755)
    chosen = ("--dataplanes=lab-iptables", "--topologies=pod-to-pod", "--protocols=tcp,udp", "--rounds=1")
    flags = (*chosen, f"--results={tmp_path / 'store'}")
    code, printed = finish(start(*SHORT, *flags, env={"PATH": f"{programs}:{os.environ['PATH']}"}))
    assert code == 1, printed
    failed = rows(tmp_path / "store", "select error, received_bps from trials where outcome = 'failed'")
    assert failed
    assert all(row["error"] and row["received_bps"] is None for row in failed)
    assert "Traceback" not in printed


def test_run_as_an_ordinary_user(ordinary_python: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        store.chmod(0o777)
        # By a shell, since setpriv itself still has root's way into directories when it starts a program.
        argv = [*AS_NOBODY, "sh", "-c", '"$@"', "sh", ordinary_python, "-m", "workflows", "run"]
        done = subprocess.run(
            [*argv, *SHORT, "--topologies=pod-to-service", "--protocols=tcp", "--rounds=1", f"--results={store}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            cwd=ROOT,
            env={**environment(), "HOME": folder},
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, printed
        found = {str(row["seen"]) for row in rows(store, "select distinct dataplane_observed as seen from visits")}
    assert found == {"lab-iptables", "lab-nftables"}
    assert "Skipped: lab-ebpf:" in printed
    assert "root" in printed
