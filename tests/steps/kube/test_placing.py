"""A pod is pinned by its node's name, and one for which there is no node ends its visit within a minute."""

import time

import pytest

from analysis.errors import Problem
from steps.cluster.kube import crew, pods, prepare, reach
from steps.cluster.kube.crew import Crew
from steps.cluster.kube.quantity import size_bytes
from tests.steps.kube.test_alterations import RUN, step_pod
from tests.steps.kube.test_prepare import (
    EVERY,
    MEASURED,
    PLACES,
    WITH_IMAGE,
    Bench,
    Object,
    said,
    settings,
    visit,
)

EC2 = "ip-10-0-0-1.ec2.internal"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_LOOK_S", 0.02)
    monkeypatch.setattr(crew, "UNPLACED_S", 0.05)
    monkeypatch.setattr(reach, "CHECK_S", 0.05)


def renamed(bench: Bench, name: str, new: str) -> None:
    """A node of this name whose label kubernetes.io/hostname is its short one, as cloud providers make them."""
    found = bench.store.find("", "nodes", "", name)
    assert found is not None
    bench.store.take("", "nodes", "", name)
    labels = {**found["metadata"]["labels"], "kubernetes.io/hostname": new.partition(".")[0]}
    bench.store.put("", "nodes", {**found, "metadata": {**found["metadata"], "name": new, "labels": labels}})
    for pod in bench.store.all("", "pods", "kube-system"):
        if pod["spec"].get("nodeName") == name:
            pod["spec"]["nodeName"] = new


def test_a_node_whose_hostname_label_differs_is_measured_by_its_name() -> None:
    bench = Bench()
    for name, new in (("node-a", EC2), ("outside", "ip-10-0-0-9.ec2.internal")):
        renamed(bench, name, new)
    found = prepare.prepare(
        bench.client, bench.standing, (EC2, "node-b"), visit(*EVERY), settings(), variables=WITH_IMAGE
    )
    clients = {placement.topology: placement.client_node for placement in found}
    assert clients["pod-to-pod"] == EC2
    assert clients["external-to-nodeport"] == "ip-10-0-0-9.ec2.internal"


def test_a_pod_for_which_there_is_no_node_is_told_long_before_its_time_is_up() -> None:
    bench = Bench()
    bench.kubelet.unplaced = lambda pod: (
        "0/3 nodes are available: 1 Insufficient cpu." if "server" in str(pod) else None
    )
    began = time.monotonic()
    with pytest.raises(Problem, match=r"server-host: it can't be placed: 0/3 nodes are available: 1 Insufficient cpu"):
        Crew(bench.client, "trials").man(prepare.manifests((), PLACES, "image:1"), 60.0)
    assert time.monotonic() - began < 30
    assert crew.UNPLACED_S <= 45


def test_a_pod_that_no_scheduler_looks_at_is_told_so() -> None:
    pod: Object = {"metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Pending"}}
    assert pods.is_unplaced(pod)
    assert "no scheduler has said why" in pods.why_not_ready(pod)
    placed = {**pod, "spec": {"nodeName": "node-a"}}
    assert not pods.is_unplaced(placed)
    assert pods.why_not_ready(placed) == "it is Pending"


def test_a_pod_that_finds_its_node_after_a_while_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "UNPLACED_S", 30.0)
    bench = Bench()
    looks = iter(range(100))
    bench.kubelet.unplaced = lambda _pod: "a port is still taken"
    listed = bench.client._list

    def list_(*arguments: object) -> tuple[list[Object], str]:
        if next(looks) > 3:  # the port is free by now
            bench.kubelet.unplaced = lambda _pod: None
            for pod in bench.kubelet.pods().values():
                if "conditions" in pod["status"] and pod["status"]["phase"] == "Pending":
                    del pod["status"]
            bench.kubelet.act()
        return listed(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.client, "_list", list_)
    made = Crew(bench.client, "trials").man(prepare.manifests((), PLACES, "image:1"), 60.0)
    assert len(made) == 3


def test_preflight_says_which_pod_has_no_node_before_anything_is_switched() -> None:
    bench = Bench()
    said(bench)
    bench.kubelet.unplaced = lambda pod: "node(s) had untolerated taints" if "node-b" in str(pod["spec"]) else None
    (found,) = prepare.findings(bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE)
    assert found.severity == "stop"
    assert "it can't be placed: node(s) had untolerated taints" in found.reason


def test_the_clients_that_are_tried_ask_for_as_much_as_the_steps_will() -> None:
    bench = Bench()
    asked = {"requests": {"cpu": "3", "memory": "2Gi"}}
    bench.store.put("", "pods", step_pod(containers=[{"name": "main", "resources": asked}]))
    bench.kubelet.unplaced = lambda pod: (
        "Insufficient cpu" if pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "3000m" else None
    )
    with pytest.raises(Problem, match=r"reach-0: it can't be placed: Insufficient cpu"):
        prepare.prepare(bench.client, bench.standing, MEASURED, visit("pod-to-pod"), settings(), variables=RUN)


@pytest.mark.parametrize(
    ("text", "size"), [("64Mi", 2**26), ("1G", 1e9), ("1024", 1024), ("1.5Gi", 1.5 * 2**30), ("2e3", 2000), ("x", 0)]
)
def test_memory_quantities(text: str, size: float) -> None:
    assert size_bytes(text) == size
