"""A Felix that takes an interface for deleted that exists: it is started again, and new pods do not wait for it."""

import re

import pytest

from steps.cluster.kube.api.permissions import PODS
from steps.cluster.kube.plugins.calico.proof import observe
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.proof import wait
from steps.tasks.shared.pod import ACCOUNTS, ServiceAccount
from tests.steps.kube.bench import MEASURED
from tests.steps.kube.calico.switched import EBPF, Cluster, visit
from tests.steps.kube.recordings import switch
from tests.steps.kube.switching import around
from tests.workflows.policies import refusals
from workflows.template import admission


def lose_the_tunnel(cluster: Cluster) -> None:
    """Add to Felix's log on node-a that the new vxlan.calico is up, and then that the old one was deleted."""
    log = cluster.store.logs["kube-system", "calico-node-node-a"]
    pid = re.findall(r"\]\[(\d+)\] felix/", log[-1][1])[0]
    for state, index in (("up", 72), ("", 56)):
        at = log[-1][0]
        text = f"{at:%Y-%m-%d %H:%M:%S}.000 [INFO][{pid}] felix/int_dataplane.go 2582: Received interface update "
        update = f'msg=&intdataplane.ifaceStateUpdate{{Name:"vxlan.calico", State:"{state}", Index:{index}}}'
        log.append((at, text + update))


def deleted_pods(cluster: Cluster) -> list[str]:
    return [r.name for r in cluster.store.requests if r.verb == "delete" and r.plural == "pods"]


def test_felix_that_lost_the_tunnel_is_started_again_on_that_node_alone() -> None:
    """Without programs on vxlan.calico no other node is reached, and waiting changes nothing."""
    cluster = Cluster(switch(EBPF))
    lose_the_tunnel(cluster)
    found = cluster.observe("ebpf")
    judgement = wait.judge(found, "ebpf", MEASURED)
    assert isinstance(judgement, wait.Pending)
    assert "node-a: Felix lost an interface: it takes vxlan.calico, which is up as number 72, for" in judgement.reason
    (cure,) = [sign for sign in found if sign.looked_at == "cure"]
    assert (cure.node, cure.seen.rpartition(": ")[2]) == (
        "node-a",
        "kubectl --context prod -n kube-system delete pod calico-node-node-a",
    )
    assert deleted_pods(cluster) == ["calico-node-node-a"]
    assert any("deleting its pod calico-node-node-a" in notice for notice in cluster.notices)


def test_new_pods_do_not_wait_for_a_felix_that_lost_the_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof starts it again, beside them. They waited for a minute and a half, and nothing was measured."""
    monkeypatch.setattr(observe, "SWITCH_S", 0)
    cluster = Cluster(switch(EBPF), 40.0)
    lose_the_tunnel(cluster)
    standing, own = read_state(cluster.client, to_switch=False), around(cluster.calico, cluster.client)
    observe.await_switch(own, standing, MEASURED, visit("ebpf"))
    assert not deleted_pods(cluster)


@pytest.mark.parametrize("account", ["observe", "switch"])
def test_agents_whose_pods_a_proof_deletes_may_be_deleted(account: ServiceAccount) -> None:
    """By the admission policy; it refused, so that no visit in which Felix lost an interface was ever repaired."""
    cluster = Cluster(switch(EBPF))
    facts = read_state(cluster.client, to_switch=False).facts
    namespace = facts.calico_namespace or ""
    agents = cluster.client.list(PODS, namespace, labels=facts.agent_labels)
    assert len(agents) == 2
    user = f"system:serviceaccount:bench:{ACCOUNTS[account]}"
    for pod in agents:
        assert not refusals(admission.DELETIONS, None, old=pod, user=user, operation="DELETE", namespace=namespace)
