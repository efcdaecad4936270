"""Which pods the accounts of the benchmark may delete."""

from typing import Any

import pytest

from steps.cluster.kube.api.permissions import BENCHMARK, PERMISSIONS
from steps.cluster.kube.api.permissions import PODS as PODS_RESOURCE
from steps.cluster.kube.cnis import CNIS
from tests.security.policies.test_admission_policies import OBSERVE, PODS, SWITCH
from tests.workflows.policies import refusals
from workflows.template import admission

Object = dict[str, Any]

KUBE_PROXY = {
    "metadata": {
        "name": "kube-proxy-x7c2p",
        "labels": {"k8s-app": "kube-proxy"},
        "ownerReferences": [{"kind": "DaemonSet", "name": "kube-proxy", "uid": "1"}],
    }
}
COREDNS = {
    "metadata": {
        "name": "kube-proxy-coredns",
        "labels": {"k8s-app": "kube-proxy", "app.kubernetes.io/name": "dataplane-benchmark"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "kube-proxy", "uid": "1"}],
    }
}


def _agent(namespace: str, *, kind: str = "DaemonSet", container: str = "calico-node") -> Object:
    owner = {"kind": kind, "name": "canal", "uid": "1"}
    pod = {"metadata": {"name": "canal-x", "namespace": namespace, "ownerReferences": [owner]}}
    return pod | {"spec": {"containers": [{"name": "kube-flannel"}, {"name": container}]}}


@pytest.mark.parametrize(("namespace", "pod", "permitted"), [
    ("kube-system", KUBE_PROXY, True), ("kube-system", COREDNS, False),
    ("kube-system", {"metadata": {"name": "kube-apiserver-node-a"}}, False),
    ("kube-system", _agent("kube-system"), True), ("calico-system", _agent("calico-system"), True),
    ("kube-system", _agent("kube-system", container="csi"), False),
    ("calico-system", _agent("calico-system", kind="ReplicaSet"), False),
    ("cni", _agent("cni"), False),
    ("bench", PODS["server"], True), ("bench", {"metadata": {"name": "argo-server"}}, False),
])  # fmt: skip
def test_accounts_delete_their_pods_and_the_networks_agents(namespace: str, pod: Object, permitted: bool) -> None:  # noqa: FBT001 - a case
    pod = {"spec": {"containers": []}, **pod}
    for user in (OBSERVE, SWITCH):
        found = refusals(admission.DELETIONS, None, old=pod, user=user, operation="DELETE", namespace=namespace)
        assert (found == []) is permitted


def test_every_namespace_in_which_pods_may_be_deleted_has_some() -> None:
    """The rights of the accounts and the policy go together."""
    rights = {each.namespace for each in PERMISSIONS if each.verb == "delete" and each.resource == PODS_RESOURCE}
    agents = {namespace for cni in CNIS for namespace in cni.agents()}
    assert rights - {BENCHMARK} == agents
