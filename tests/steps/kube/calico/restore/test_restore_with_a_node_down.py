"""Restoring a cluster of which a node is down or cordoned: what can be put back is, and nothing waits for the node."""

import pytest

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.owner import current_owner
from steps.cluster.kube.plugins.calico.switching import operator_reaction
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.plugins.calico.switching.snapshot import take_snapshot
from steps.cluster.kube.workloads import workload
from tests.steps.kube.bench import WITH_IMAGE
from tests.steps.kube.calico.clusters import node
from tests.steps.kube.calico.switched import Cluster
from tests.steps.kube.calico.switching.test_order import INSTALLS, SWITCHED
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.recordings import switch as recorded
from tests.steps.kube.switching import held, put_back, switch

EVERY = pytest.mark.parametrize("install", INSTALLS)


@EVERY
@pytest.mark.parametrize("dataplane", SWITCHED[1:])
def test_restore_does_not_wait_for_a_node_that_is_down(install: str, dataplane: str) -> None:
    calico = INSTALLS[install]()
    before = calico.settings()
    switch(calico, dataplane)
    calico.fail_node("node-b")
    began = calico.store.now()
    assert put_back(calico)
    assert calico.settings() == before
    assert not held(calico)
    assert (calico.store.now() - began).total_seconds() < 60, "it waited for a node that is down"
    up = [pod for pod in calico.kube_proxy_pods if pod["spec"]["nodeName"] == "node-a"]
    assert len(up) == 1


@EVERY
def test_restore_on_a_cluster_with_a_cordoned_node(install: str) -> None:
    calico = INSTALLS[install]()
    before = calico.settings()
    switch(calico, "ebpf-dsr")
    node(calico, "node-b")["spec"] |= {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]}
    assert put_back(calico)
    assert calico.settings() == before
    assert len(calico.kube_proxy_pods) == 2


@pytest.mark.parametrize(
    ("bootstraps", "reason"),
    [(True, "the operator has not replaced calico-node on every node"), (False, "does not report Calico as available")],
)
def test_restore_to_ebpf_waits_for_the_operator_who_needs_the_node(
    monkeypatch: pytest.MonkeyPatch, reason: str, *, bootstraps: bool
) -> None:
    """The operator switches eBPF on once every node has the new calico-node, so this can't be finished; it is said."""
    calico = Calico("operator", bootstraps=bootstraps, rollout_s=40.0)
    network = {"linuxDataplane": "BPF"}
    if bootstraps:
        network |= {"kubeProxyManagement": "Enabled", "bpfNetworkBootstrap": "Enabled"}
    else:
        calico.kube_proxy["spec"]["template"]["spec"]["nodeSelector"]["non-calico"] = "true"
    calico.store.find("operator.tigera.io", "installations", "", "default")["spec"]["calicoNetwork"] = network  # type: ignore[index]
    calico.store.advance(60)
    switch(calico, "iptables")
    calico.fail_node("node-b")
    monkeypatch.setattr(operator_reaction, "AVAILABLE_S", 0.01)
    with pytest.raises(Problem, match=f"{reason}.*node-b is not ready"):
        put_back(calico)
    assert held(calico)


def test_new_switch_is_refused_with_a_node_down() -> None:
    calico = Calico()
    calico.fail_node("node-b")
    with pytest.raises(Unsupported, match="two nodes are needed"):
        switch(calico, "ebpf")


@pytest.mark.parametrize("harm", ["down", "cordoned"])
def test_user_restores_and_what_runs_on_the_ready_nodes_is_proven(harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "_SOON_S", 0.01)
    cluster = Cluster(recorded("04-ebpf-to-iptables"))
    variables = {"ARGO_WORKFLOW_NAME": "run-1", **WITH_IMAGE}
    sleep = cluster.store.advance
    who = KubernetesCluster("prod", client=cluster.client, variables=variables, say=cluster.notices.append, sleep=sleep)
    cluster.observe("iptables")
    assert {pod["spec"]["nodeName"] for pod in cluster.kubelet.pods().values()} == {"node-a", "node-b"}
    take_lock(cluster)
    if harm == "down":
        cluster.calico.fail_node("node-b")
    else:
        node(cluster.calico, "node-b")["spec"]["unschedulable"] = True
    assert who.restore() == []
    assert not held(cluster.calico)
    assert cluster.kubelet.pods() == {}, "no pod of ours is left, on the node that is down neither"


def take_lock(cluster: Cluster) -> None:
    """A run that was killed after its last change."""
    taken = take_snapshot(cluster.client, read_state(cluster.client, to_switch=True), "")
    owner = current_owner(cluster.client.namespace, {"ARGO_WORKFLOW_NAME": "run-1"})
    lock.take_lock(cluster.client, owner, taken, cluster.store.now())
