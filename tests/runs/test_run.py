"""The whole process, as a user starts it: real dataplanes, real iperf3, the real workflow, rows and a report."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.ordinary import AS_NOBODY, ROOT, environment
from tests.runs.whole_runs import PATIENCE_S, SHORT, finish, frugal, nothing_left_behind, rows, start_command

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab's eBPF dataplanes need root"),
]


def start(*flags: str, env: dict[str, str] | None = None, full: bool = False) -> subprocess.Popen[str]:
    return start_command(sys.executable, "-m", "workflows", "run", *flags, env=env, full=full)


def test_run_of_all_four_lab_dataplanes(tmp_path: Path) -> None:
    with nothing_left_behind():
        code, printed = finish(start(*SHORT, "--rounds=1", f"--results={tmp_path}", full=True))
    assert code == 0, printed
    visits = rows(tmp_path, "select * from visits order by visit")
    assert len(visits) == 4
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
            env=frugal(environment() | {"HOME": folder}),
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, printed
        found = {str(row["seen"]) for row in rows(store, "select distinct dataplane_observed as seen from visits")}
    assert found == {"lab-iptables", "lab-nftables"}
    assert "Skipped: lab-ebpf:" in printed
    assert "root" in printed
