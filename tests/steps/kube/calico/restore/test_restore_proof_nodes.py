"""A node that can't run probe pods is judged by its agents, and holds the lock only where they show a fault."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from analysis.errors import Problem
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.restore_proof import RestoreProof
from steps.cluster.kube.workloads import workload
from tests.steps.kube.bench import WITH_IMAGE
from tests.steps.kube.calico.clusters import add_node, node
from tests.steps.kube.calico.restore.test_restore_proof import held, kube, put_back_but_not_over
from tests.steps.kube.calico.switched import IPTABLES, Cluster
from tests.steps.kube.fakes.answers import Request
from tests.steps.kube.guard.guarding import GUARD
from tests.steps.kube.recordings import switch

Object = dict[str, Any]

FULL = "0/3 nodes are available: 1 Too many pods."
DENIED = 'pods "{}" is forbidden: exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5'


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("UNPLACED_S", 0.02), ("_LOOK_S", 0.02), ("_SOON_S", 0.02), ("GONE_S", 0.05)):
        monkeypatch.setattr(workload, name, seconds)
    ensure = workload.Workload.ensure_pods
    monkeypatch.setattr(ensure, "__defaults__", (0.3, *(ensure.__defaults__ or ())[1:]))


def cluster_of(*more: str) -> tuple[Cluster, KubernetesCluster]:
    """A run that measured two nodes has put everything back; the cluster has more."""
    cluster = Cluster(switch(IPTABLES))
    who = put_back_but_not_over(cluster)
    for name in more:
        add_node(cluster.calico, name)
    cluster.store.after()
    return cluster, who


def on(pod: Object, name: str) -> bool:
    return name in str(pod["spec"].get("affinity"))


def no_room(name: str) -> Callable[[Object], str | None]:
    return lambda pod: FULL if on(pod, name) else None


def said(cluster: Cluster, name: str, why: str) -> bool:
    return any(f"node {name}: no probe runs there" in each and why in each for each in cluster.notices)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("full", FULL),
        ("no image", "ErrImagePull"),
        ("bad image", "InvalidImageName"),
        ("no address", "it has no internal address"),
    ],
)
def test_another_node_without_a_probe_is_reported_and_gives_the_lock_back(harm: str, why: str) -> None:
    cluster, who = cluster_of("node-c", "node-d")
    reasons = {"no image": "ErrImagePull", "bad image": "InvalidImageName"}
    cluster.kubelet.refuses = lambda pod: reasons.get(harm) if on(pod, "node-c") else None
    if harm == "full":
        cluster.kubelet.unplaced = no_room("node-c")
    elif harm == "no address":
        node(cluster.calico, "node-c")["status"]["addresses"] = []
    assert who.restore() == []
    assert not held(cluster)
    assert said(cluster, "node-c", why)
    assert not said(cluster, "node-d", "")
    assert cluster.kubelet.pods() == cluster.kubelet.services() == {}


def test_guard_gives_the_lock_back_too() -> None:
    cluster, _run = cluster_of("node-c")
    cluster.kubelet.unplaced = no_room("node-c")
    cluster.store.advance(400)
    found = kube(cluster, {**GUARD, **WITH_IMAGE}).restore_left()
    assert found is not None
    assert not found.problem
    assert not held(cluster)


def test_quota_for_the_measured_nodes_alone_suffices() -> None:
    cluster, who = cluster_of("node-c", "node-d")
    allow = cluster.store.admission

    def limited(request: Request, body: Any) -> str | None:  # noqa: ANN401 - JSON
        if (request.verb, request.plural) == ("create", "pods") and body["metadata"]["name"][-1] in "23":
            return DENIED.format(body["metadata"]["name"])
        return allow(request, body)

    cluster.store.admission = limited
    assert who.restore() == []
    assert not held(cluster)
    assert said(cluster, "node-c", "exceeded quota")
    assert said(cluster, "node-d", "exceeded quota")


def test_measured_node_without_a_probe_keeps_the_lock() -> None:
    cluster, who = cluster_of("node-c")
    cluster.kubelet.unplaced = no_room("node-b")
    with pytest.raises(Problem, match="look-host-1: it can't be placed: 0/3 nodes are available"):
        who.restore()
    assert held(cluster)


def test_nodes_that_run_probes_are_proven_beside_one_that_does_not() -> None:
    cluster, who = cluster_of("node-c", "node-d")
    cluster.kubelet.unplaced = no_room("node-c")
    cluster.failing = "ClusterIP from node-d"
    with pytest.raises(Problem, match="ClusterIP from node-d does not answer"):
        who.restore()
    assert held(cluster)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("Felix", "node-c: Felix ended"),
        ("Felix runs eBPF", "node-c: Felix's log: BPF enabled"),
    ],
)
def test_agents_that_show_a_node_to_be_broken_keep_the_lock(broken: str, reason: str) -> None:
    cluster, who = cluster_of("node-c")
    cluster.kubelet.unplaced = no_room("node-c")
    calico, seen = cluster.calico, cluster.calico._felix_saw
    calico._felix_saw = (broken != "Felix", *seen[1:])
    calico.start_felix("node-c")
    if broken == "Felix":
        calico._say("node-c", calico._felix_pid, "felix/daemon.go 961: Exiting for config change rc=129")
    calico._felix_saw = seen
    with pytest.raises(Problem, match=reason):
        who.restore()
    assert held(cluster)


def test_node_that_is_removed_during_the_proof_does_not_end_it() -> None:
    cluster, _who = cluster_of("node-c", "node-d")
    cluster.failing = "from node-c"
    seen = cluster.notices.append

    def say(sentence: str) -> None:
        seen(sentence)
        if "not settled" in sentence and "node-c" in sentence:
            cluster.failing = ""
            for name, pod in cluster.kubelet.pods().items():
                if pod["spec"].get("nodeName") == "node-c":
                    cluster.store.take("", "pods", "bench", name)
            cluster.store.take("", "pods", "kube-system", "calico-node-node-c")
            cluster.store.take("", "nodes", "", "node-c")

    who = KubernetesCluster(
        "prod",
        client=cluster.client,
        variables={"ARGO_WORKFLOW_NAME": "run-1", **WITH_IMAGE},
        say=say,
        sleep=cluster.store.advance,
        gate_s=20,
    )
    assert who.restore() == []
    assert not held(cluster)
    assert said(cluster, "node-c", "no longer in the cluster")


def test_pod_that_does_not_end_on_a_ready_node_is_reported_and_gives_the_lock_back() -> None:
    cluster, who = cluster_of("node-c")
    cluster.store.stuck.add("node-c")
    assert who.restore() == []
    assert not held(cluster)
    assert any("pods are still there" in each and "look-host-2" in each for each in cluster.notices)


def test_pod_that_does_not_end_leaves_its_name_to_the_next_proof() -> None:
    cluster, who = cluster_of("node-c", "node-d")
    cluster.failing = "ClusterIP from node-d"
    cluster.store.stuck.add("node-c")
    with pytest.raises(Problem, match="ClusterIP from node-d"):
        who.restore()
    assert {"look-host-2", "look-pod-2"} == set(cluster.kubelet.pods())
    cluster.failing = ""
    assert who.restore() == []
    assert not said(cluster, "node-c", ""), "new probes run beside what does not end"
    assert not held(cluster)


def test_node_whose_network_starts_no_pod_keeps_the_lock() -> None:
    """As without kube-proxy's rules: the network plugin on it can't reach the API server by its Service."""
    cluster, who = cluster_of("node-c")
    cluster.failing = "from node-c"
    cluster.kubelet.refuses = lambda pod: (
        "ContainerCreating" if on(pod, "node-c") and "look-pod" in pod["metadata"]["name"] else None
    )
    with pytest.raises(Problem, match=r"iptables is not proven to work again: .* look-pod-2: it is Pending"):
        who.restore()
    assert held(cluster)
    assert not said(cluster, "node-c", "")


@pytest.mark.parametrize("looks", [0, 1])
def test_proof_touches_no_pod_of_a_run_that_has_the_cluster_by_now(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restoring process slept between its last write and the proof, or during the proof."""
    cluster, who = cluster_of("node-c")
    cluster.failing = "from node-b"  # so that it looks again and again
    place, look = RestoreProof._place, RestoreProof._look
    made: list[int] = []
    done = 0

    def slept() -> None:
        nonlocal done
        done += 1
        if done == looks + 1:
            found = cluster.store.find("", "configmaps", KUBE_SYSTEM, STATE)
            assert found is not None
            owner = json.dumps({"workflow": "run-2", "namespace": "bench", "person": None, "uid": None})
            cluster.store.take("", "configmaps", KUBE_SYSTEM, STATE)
            metadata = {"name": STATE, "namespace": KUBE_SYSTEM}
            cluster.store.put("", "configmaps", {"metadata": metadata, "data": {**found["data"], "owner": owner}})
            made.append(len(cluster.store.requests))

    def placed(proof: RestoreProof, standing: Any) -> None:  # noqa: ANN401 - the method's own
        slept()
        place(proof, standing)

    def looked(proof: RestoreProof) -> Any:  # noqa: ANN401 - the method's own
        slept()
        return look(proof)

    monkeypatch.setattr(RestoreProof, "_place", placed)
    monkeypatch.setattr(RestoreProof, "_look", looked)
    with pytest.raises(Problem, match="is held by workflow bench/run-2"):
        who.restore()
    (since,) = made
    assert {request.verb for request in cluster.store.requests[since:]} <= {"get", "list", "watch"}
    assert held(cluster)
