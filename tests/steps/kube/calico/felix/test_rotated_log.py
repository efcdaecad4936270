"""Signs that rest on a log are not lost by its volume: a kubelet rotates it, and gives what was printed since."""

import re
from typing import Any

import pytest

from steps.cluster.kube.plugins.calico.felix.log import read_felix_log
from steps.proof import evaluate
from tests.steps.kube.bench import MEASURED
from tests.steps.kube.calico.switched import EBPF, Cluster
from tests.steps.kube.recordings import switch

Object = dict[str, Any]
BULK = (
    'felix/int_dataplane.go 2514: Received *proto.ServiceUpdate update from calculation graph. msg=name:"scale-{:05d}"'
)


def rotate(cluster: Cluster, node: str, lines: int) -> None:
    """Let Felix's present process have printed so many lines since its log was rotated."""
    log = cluster.store.logs["kube-system", f"calico-node-{node}"]
    current = read_felix_log(b"\n".join(cluster.recorded.logs[node])).current
    assert current is not None
    last, inner = log[-1][0], log[-1][1].partition(" [")[0]
    log[:] = [(last, f"{inner} [INFO][{current.pid}] {BULK.format(number)}") for number in range(lines)]


def attaching(cluster: Cluster, *, dsr: str) -> list[str]:
    """Let Felix print how it attached its programs to each new pod; the nodes of pods that started since."""
    found: list[str] = []

    def admits(pod: Object) -> None:
        node = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        node = node["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
        last = cluster.store.logs["kube-system", f"calico-node-{node}"][-1][1]
        said = 'felix/attach.go 168: Program attached to tcx. attachPoint=&tc.AttachPoint{Iface:"cali1", DSR:' + dsr
        cluster.store.say("kube-system", f"calico-node-{node}", f"{last.partition(' felix/')[0]} {said}}}")
        found.append(node)

    cluster.kubelet.admits = admits
    return found


@pytest.mark.parametrize(("lines", "dsr", "state"), [(100_000, "false", "proven"), (1000, "true", "disproven")])
def test_sign_that_many_lines_have_pushed_out_of_the_log_is_made_anew(lines: int, dsr: str, state: str) -> None:
    """A kubelet has rotated the lines of Felix's start away, so only a new interface tells eBPF from eBPF with DSR."""
    cluster = Cluster(switch(EBPF))
    cluster.observe("ebpf")
    rotate(cluster, "node-b", lines)
    started = attaching(cluster, dsr=dsr)
    assert cluster.state(cluster.observe("ebpf", "after")) == state
    assert started == ["node-b"]
    assert not any(name.startswith("look-anew") for name in cluster.kubelet.pods()), "it is gone again"
    assert "the lines of Felix's start are gone on node-b" in cluster.notices[-1]


def test_felix_that_prints_nothing_of_a_new_interface_stays_unproven() -> None:
    cluster = Cluster(switch(EBPF))
    rotate(cluster, "node-b", 10)
    found = cluster.observe("ebpf")
    assert evaluate.evaluate(found, "ebpf", MEASURED).reason == "ebpf is not proven: node-b could be ebpf or ebpf-dsr"


def test_felix_that_started_anew_between_both_moments_is_seen_though_its_log_was_rotated() -> None:
    cluster = Cluster(switch(EBPF))
    before = cluster.observe("ebpf")
    assert evaluate.replaced(before, cluster.observe("ebpf", "after")) is None
    rotate(cluster, "node-b", 10)
    log = cluster.store.logs["kube-system", "calico-node-node-b"]
    log[:] = [(at, re.sub(r"\]\[\d+\]", "][99999]", text)) for at, text in log]
    attaching(cluster, dsr="false")
    after = cluster.observe("ebpf", "after")
    assert cluster.state(after) == "proven", "as far as the second moment alone can tell"
    reason = evaluate.replaced(before, after)
    assert reason is not None
    assert re.fullmatch(
        r"node-b: process \d+ wrote .* before the first trial, and process 99999 after the last", reason
    )
