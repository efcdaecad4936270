"""What a node's proof still lacks, on observations that no recording has."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from steps.cluster.kube.plugins.calico.felix.log import FelixLog
from steps.cluster.kube.plugins.calico.felix.process import FelixProcess, LogPosition
from steps.cluster.kube.plugins.calico.proof import readiness
from steps.cluster.kube.plugins.calico.proof.readiness import Readiness
from steps.cluster.kube.plugins.calico.proof.signs import Observation
from steps.cluster.kube.probe.report import HostProbe, ServiceProbe
from steps.proof import evaluate
from steps.proof.wait import Impossible, Pending, Proven
from tests.steps.kube.calico.proof.judgements import judge_switch
from tests.steps.kube.recordings import moment

NOW = moment("2026-11-23T08:00:00Z")


def process(**fields: Any) -> FelixProcess:  # noqa: ANN401
    fields.setdefault("levels", {"INFO"})
    started = fields.pop("started_at", NOW - timedelta(seconds=100))
    return FelixProcess(7, started or NOW - timedelta(hours=1), started, NOW, **fields)


def observed(current: FelixProcess | None = None, host: HostProbe | None = None, **more: Any) -> Observation:  # noqa: ANN401
    reading = FelixLog((current,)) if current is not None else None
    answers = more.pop("answers", (ServiceProbe("n", "ClusterIP", ok_at=NOW),))
    return Observation("n", felix=reading, host=host, answers=answers, **more)


def reason(look: Observation, asked: str = "ebpf", **options: Any) -> str:  # noqa: ANN401
    judgement = judge_switch([look], asked, NOW, **options)
    return "" if isinstance(judgement, Proven) else judgement.reason


IN_BPF = {
    "driver_bpf": LogPosition(NOW, "true"),
    "driver_dsr": False,
    "bpf": [LogPosition(NOW, "BPF enabled, starting")],
}
DONE = {"first_update": LogPosition(NOW - timedelta(seconds=90), "Completed first update to dataplane.")}
BPF_HOST = HostProbe(at=NOW, interfaces=frozenset({"bpfin.cali", "bpfout.cali"}), tunnel_external=True)


def test_complete_observation_is_proven() -> None:
    assert reason(observed(process(**IN_BPF, **DONE), BPF_HOST)) == ""


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (observed(process(**IN_BPF), None), "has not completed its first update"),
        (
            observed(process(**IN_BPF, **DONE, pending_settings={"BPFEnabled": "false"})),
            "yet to restart: its configuration",
        ),
        (observed(process(**IN_BPF, **DONE, leaving=LogPosition(NOW, "Exiting"))), "has not started again"),
        (observed(process(**IN_BPF, **DONE), replace(BPF_HOST, agent_ready=False)), "reports that it is not ready"),
        (observed(process(**IN_BPF, **DONE), replace(BPF_HOST, at=NOW - timedelta(seconds=60))), "60 s old"),
        (observed(process(**IN_BPF, **DONE), replace(BPF_HOST, agent_started_at=NOW)), "0 s past"),
        (observed(process(**IN_BPF, **DONE), answers=()), "no Service was probed"),
        (
            observed(process(**IN_BPF, **DONE), answers=(ServiceProbe("n", "ClusterIP", NOW - timedelta(seconds=60)),)),
            "last answered 60 s ago",
        ),
        (
            observed(
                process(**IN_BPF, **DONE),
                answers=(ServiceProbe("n", "NodePort", NOW, NOW - timedelta(seconds=1), "x"),),
            ),
            "NodePort answers intermittently (x)",
        ),
        (
            observed(process(**IN_BPF, **DONE), answers=(ServiceProbe("n", "NodePort", None, NOW, "refused"),)),
            "NodePort does not answer (refused)",
        ),
        (
            observed(process(**IN_BPF, **DONE), replace(BPF_HOST, agent_answered_at=NOW - timedelta(seconds=3))),
            "answered its readiness probe before, and no longer does",
        ),
        (observed(None, None, missed=("the log could not be read",)), "the log could not be read"),
        (observed(process(bpf=IN_BPF["bpf"], **DONE), None), "1 conclusive signs, and 2 are needed"),
        (observed(process(**IN_BPF, **DONE), HostProbe(at=NOW, interfaces=frozenset({"eth0"}))), "no bpfin.cali"),
        (observed(process(**IN_BPF, **DONE), replace(BPF_HOST, proxy_mode="ipvs")), "kube-proxy's mode: ipvs"),
    ],
)
def test_every_missing_part_is_reported(look: Observation, expected: str) -> None:
    assert expected in reason(look)


def test_felix_process_without_info_lines_is_pending() -> None:
    quiet = process(levels={"WARNING"}, started_at=NOW - timedelta(seconds=readiness.NOTICE_S - 1))
    assert isinstance(judge_switch([observed(quiet, BPF_HOST)], "ebpf", NOW), Pending)
    quiet = process(levels={"WARNING"}, started_at=NOW - timedelta(seconds=readiness.NOTICE_S + 1))
    assert isinstance(judge_switch([observed(quiet, BPF_HOST)], "ebpf", NOW), Impossible)
    assert isinstance(judge_switch([observed(quiet)], "ebpf", NOW), Pending), "a pod may yet look from there"


def test_node_without_observation_is_reported() -> None:
    judgement = judge_switch([], "ebpf", NOW, nodes=["m"])
    assert isinstance(judgement, Pending)
    assert "m: it was not observed" in judgement.reason


def test_change_without_felix_restart_is_pending() -> None:
    host = HostProbe(at=NOW, interfaces=frozenset({"eth0"}), proxy_mode="nftables")
    look = observed(None, host)
    changed_at = NOW - timedelta(seconds=readiness.NOTICE_S - 1)
    assert "has not restarted since the change 19 s ago" in reason(look, "nftables", changed_at=changed_at, stable_s=5)
    assert reason(look, "nftables", changed_at=changed_at - timedelta(seconds=1), stable_s=5) == ""


def test_pod_readiness_replaces_lost_completion_lines() -> None:
    look = observed(process(**IN_BPF), replace(BPF_HOST, agent_ready=True))
    assert reason(look) == ""


def test_pending_readiness_gives_contrary_signs() -> None:
    look = [observed(process(**IN_BPF, **DONE, leaving=LogPosition(NOW, "Exiting")), BPF_HOST)]
    found = Readiness(look, "ebpf", NOW, ["n"]).signs()
    weighed = evaluate.evaluate(found, "ebpf", ["n"])
    assert weighed.state == "disproven"
    assert "has not started again" in (weighed.reason or "")
