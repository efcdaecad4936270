"""A pod is pinned by its node's name, and one for which there is no node ends its visit within a minute."""

import time

import pytest

from analysis.errors import Problem
from steps.cluster.kube.api.quantity import amount
from steps.cluster.kube.servers import server_findings, trial_servers
from steps.cluster.kube.workloads import connectivity, manifests, workload
from steps.cluster.kube.workloads.workload import Workload
from tests.steps.kube.bench import (
    EVERY,
    MEASURED,
    PLACES,
    WITH_IMAGE,
    Bench,
    Object,
    report_connections,
    settings,
    visit,
)
from tests.steps.kube.workloads.test_alterations import RUN, step_pod

EC2 = "ip-10-0-0-1.ec2.internal"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "_LOOK_S", 0.02)
    monkeypatch.setattr(workload, "UNPLACED_S", 0.05)
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)


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


def test_node_with_another_hostname_label_is_pinned_by_name() -> None:
    bench = Bench()
    for name, new in (("node-a", EC2), ("outside", "ip-10-0-0-9.ec2.internal")):
        renamed(bench, name, new)
    found = trial_servers.prepare(
        bench.client, bench.standing, (EC2, "node-b"), visit(*EVERY), settings(), variables=WITH_IMAGE
    )
    clients = {placement.topology: placement.client_node for placement in found}
    assert clients["pod-to-pod"] == EC2
    assert clients["external-to-nodeport"] == "ip-10-0-0-9.ec2.internal"


def test_unschedulable_pod_is_reported_before_the_timeout() -> None:
    bench = Bench()
    bench.kubelet.unplaced = lambda pod: (
        "0/3 nodes are available: 1 Insufficient cpu." if "server" in str(pod) else None
    )
    began = time.monotonic()
    with pytest.raises(Problem, match=r"server-host: it can't be placed: 0/3 nodes are available: 1 Insufficient cpu"):
        Workload(bench.client, "trials").ensure_pods(trial_servers.manifests((), PLACES, "image:1"), 60.0)
    assert time.monotonic() - began < 30
    assert workload.UNPLACED_S <= 45


def test_pod_without_scheduler_is_reported() -> None:
    pod: Object = {"metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Pending"}}
    assert manifests.is_unscheduled(pod)
    assert "no scheduler has given a reason" in manifests.why_not_ready(pod)
    placed = {**pod, "spec": {"nodeName": "node-a"}}
    assert not manifests.is_unscheduled(placed)
    assert manifests.why_not_ready(placed) == "it is Pending"


def test_pod_scheduled_late_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "UNPLACED_S", 30.0)
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
    made = Workload(bench.client, "trials").ensure_pods(trial_servers.manifests((), PLACES, "image:1"), 60.0)
    assert len(made) == 3


def test_preflight_reports_unschedulable_pods() -> None:
    bench = Bench()
    report_connections(bench)
    bench.kubelet.unplaced = lambda pod: "node(s) had untolerated taints" if "node-b" in str(pod["spec"]) else None
    (found,) = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE
    )
    assert found.severity == "stop"
    assert "it can't be placed: node(s) had untolerated taints" in found.reason


def test_preflight_client_pods_have_the_requests_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_servers, "MOST_SERVICES", 0)
    bench = Bench()
    asked = {"requests": {"cpu": "3", "memory": "2Gi"}}
    bench.store.put("", "pods", step_pod(containers=[{"name": "main", "resources": asked}]))
    bench.kubelet.unplaced = lambda pod: (
        "Insufficient cpu" if pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "3000m" else None
    )
    with pytest.raises(Problem, match=r"reach-0: it can't be placed: Insufficient cpu"):
        trial_servers.prepare(
            bench.client, bench.standing, MEASURED, visit("pod-to-pod"), settings(services=1), variables=RUN
        )


@pytest.mark.parametrize(
    ("text", "size"), [("64Mi", 2**26), ("1G", 1e9), ("1024", 1024), ("1.5Gi", 1.5 * 2**30), ("2e3", 2000), ("x", 0)]
)
def test_memory_quantities(text: str, size: float) -> None:
    assert amount(text) == size
