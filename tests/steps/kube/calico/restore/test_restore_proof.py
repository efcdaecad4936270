"""A restore is over when the dataplane from before is proven on every node, for a run and for a user."""

from datetime import timedelta

import pytest

from analysis.errors import Problem
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.owner import current_owner
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.plugins.calico.switching.snapshot import take_snapshot
from steps.proof.wait import UnprovenError
from tests.steps.kube.bench import WITH_IMAGE
from tests.steps.kube.calico.clusters import add_node
from tests.steps.kube.calico.switched import EBPF, IPTABLES, Cluster
from tests.steps.kube.fakes import kubelet as fake_kubelet
from tests.steps.kube.recordings import switch
from workflows.cli import cluster as cluster_verbs

RUN = {"ARGO_WORKFLOW_NAME": "run-1", **WITH_IMAGE}


def kube(cluster: Cluster, variables: dict[str, str] | None = None, gate_s: float = 0.01) -> KubernetesCluster:
    return KubernetesCluster(
        "prod",
        client=cluster.client,
        variables=RUN if variables is None else variables,
        say=cluster.notices.append,
        sleep=cluster.store.advance,
        gate_s=gate_s,
    )


def put_back_but_not_over(cluster: Cluster) -> KubernetesCluster:
    """A run that was killed between its last change and giving back the lock."""
    who = kube(cluster)
    standing = read_state(cluster.client, to_switch=True)
    taken = take_snapshot(cluster.client, standing, "")
    lock.take_lock(cluster.client, current_owner(cluster.client.namespace, RUN), taken, cluster.store.now())
    return who


def held(cluster: Cluster) -> bool:
    return cluster.store.find("", "configmaps", KUBE_SYSTEM, STATE) is not None


def test_restore_without_changes_is_proven() -> None:
    cluster = Cluster(switch(IPTABLES))
    who = put_back_but_not_over(cluster)
    looked_at = cluster.store.now()
    assert who.restore() == []
    assert any(request.plural == "pods" and request.sub == "log" for request in cluster.store.requests)
    assert not held(cluster)
    assert cluster.kubelet.pods() == {}
    assert cluster.store.now() - looked_at < timedelta(seconds=60)


def test_restore_restarts_kube_proxy_on_a_node_without_rules() -> None:
    cluster = Cluster(switch(IPTABLES), failing="ClusterIP from node-b")
    who = put_back_but_not_over(cluster)
    since = (cluster.store.now() - timedelta(seconds=60)).isoformat()  # as if the looks went on for a minute
    cluster.kubelet.says = lambda pod: fake_kubelet.probe_report(
        pod, cluster.store.now(), bpf=False, proxy_mode="iptables", failing=cluster.failing, since=since
    )
    cluster.store.advance(60)
    before = {p["spec"]["nodeName"]: p["metadata"]["uid"] for p in cluster.calico.kube_proxy_pods}
    with pytest.raises(Problem, match=r"iptables is not proven to work again: .*ClusterIP from node-b") as caught:
        who.restore()
    assert "delete configmap dataplane-benchmark" in str(caught.value)
    after = {p["spec"]["nodeName"]: p["metadata"]["uid"] for p in cluster.calico.kube_proxy_pods}
    assert {node for node in before if before[node] != after[node]} == {"node-b"}
    assert held(cluster)
    assert cluster.kubelet.pods() == {}
    cluster.failing = ""
    assert who.restore() == []
    assert not held(cluster)


def test_restore_checks_every_calico_node() -> None:
    cluster = Cluster(switch(IPTABLES), failing="ClusterIP from node-c")
    who = put_back_but_not_over(cluster)
    add_node(cluster.calico, "node-c")
    with pytest.raises(Problem, match="ClusterIP from node-c does not answer"):
        who.restore()
    assert held(cluster)


def test_restore_waits_for_the_whole_stability_window() -> None:
    cluster = Cluster(switch(IPTABLES), after_s=40.0)
    who = put_back_but_not_over(cluster)
    with pytest.raises(Problem, match="45 s without a restart are needed"):
        who.restore()


def test_settle_command_waits_for_the_stability_window_and_names_restore(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("steps.proof.wait.CLUSTER_TIMEOUT_S", 0.01)
    cluster = Cluster(switch(EBPF), after_s=40.0)
    monkeypatch.setattr(cluster_verbs, "KubernetesCluster", lambda _environment, **_: kube(cluster))
    with pytest.raises(UnprovenError, match="45 s without a restart are needed"):
        cluster_verbs.settle(environment="prod", dataplane="ebpf")
    assert "To restore it: `make restore ENVIRONMENT=prod`" in capsys.readouterr().err
    assert cluster.kubelet.pods() == {}
    cluster.store.advance(60)
    assert cluster_verbs.settle(environment="prod", dataplane="ebpf") == 0
    assert "ebpf is proven on node-a, node-b" in capsys.readouterr().out
