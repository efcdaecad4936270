"""Judge observations as a proof does: by the signs alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from steps.cluster.kube.plugins.calico.proof import readiness
from steps.cluster.kube.plugins.calico.proof.readiness import Readiness
from steps.cluster.kube.plugins.calico.proof.signs import Observation
from steps.cluster.kube.probe.report import HostProbe, ServiceProbe
from steps.proof.wait import Judgement, judge
from tests.steps.kube.recordings import Switch

FALLBACK = "08-node-b-kernel-too-old-falls-back"
LOST = "15-operator-enables-ebpf-too-early"
"""node-b has lost the API server, so that its Felix never starts again: it stays pending, and is never proven."""


def judge_switch(
    observations: Sequence[Observation],
    requested: str,
    now: datetime,
    *,
    nodes: Sequence[str] | None = None,
    changed_at: datetime | None = None,
    stable_s: float = readiness.STABLE_S,
) -> Judgement:
    needed = [observation.node for observation in observations] if nodes is None else list(nodes)
    signs = Readiness(observations, requested, now, needed, changed_at, stable_s).signs()
    return judge(signs, requested, needed)


def answering(observations: Sequence[Observation], now: datetime) -> list[Observation]:
    """The observations as if every Service had answered."""
    return [replace(each, answers=(ServiceProbe(each.node, "ClusterIP", ok_at=now),)) for each in observations]


def host(recorded: Switch, node: str, now: datetime) -> HostProbe:
    """A look from a pod on the node, when the switch is over."""
    bpf = recorded.asked.startswith("ebpf") and not (recorded.name == FALLBACK and node == "node-b")
    names = {"eth0", "vxlan.calico"} | ({"bpfin.cali", "bpfout.cali"} if bpf else set())
    return HostProbe(now, frozenset(names), tunnel_external=bpf, proxy_mode=None if bpf else recorded.asked)
