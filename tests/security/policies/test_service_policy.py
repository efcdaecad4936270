"""The admission policy of Services, by their own expressions."""

from typing import Any

import pytest

from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.kube.servers import trial_servers
from tests.security.policies.test_admission_policies import OBSERVE
from tests.workflows.policies import refusals
from workflows.template import scale_policy

Object = dict[str, Any]

SERVICE: Object = {
    "metadata": {"name": "server", "labels": {"app.kubernetes.io/name": "dataplane-benchmark"}},
    "spec": {"type": "NodePort", "selector": {"dataplane-benchmark/serves": "server"}},
}


@pytest.mark.parametrize(("changes", "permitted"), [
    ({}, True), ({"type": "ClusterIP"}, True), ({"type": "LoadBalancer"}, True), ({"type": "ExternalName"}, False),
    ({"type": "LoadBalancer", "loadBalancerIP": "10.0.0.1"}, False),
    ({"externalIPs": ["10.0.0.1"]}, False), ({"selector": {"k8s-app": "kube-dns"}}, False), ({"selector": {}}, False),
])  # fmt: skip
def test_accounts_create_services_of_their_own_pods(changes: Object, permitted: bool) -> None:  # noqa: FBT001 - a case
    made = {**SERVICE, "spec": {**SERVICE["spec"], **changes}}
    assert (refusals(scale_policy.SERVICES, made, user=OBSERVE) == []) is permitted


def test_load_balancer_address_can_not_be_chosen() -> None:
    chosen = {"projectcalico.org/loadBalancerIPs": '["10.0.0.1"]'}
    made = {
        "metadata": {**SERVICE["metadata"], "annotations": chosen},
        "spec": SERVICE["spec"] | {"type": "LoadBalancer"},
    }
    assert refusals(scale_policy.SERVICES, made, user=OBSERVE)


def test_accounts_create_each_service_that_a_run_needs() -> None:
    made = [trial_servers.service(), trial_servers.turns_service(), *trial_servers.other_services(TOPOLOGIES).values()]
    assert {service["spec"]["type"] for service in made} == {"NodePort", "LoadBalancer"}
    for service in made:
        assert refusals(scale_policy.SERVICES, service, user=OBSERVE) == [], service["metadata"]["name"]


def test_accounts_delete_only_their_own_services() -> None:
    def deleted(service: Object) -> list[str]:
        return refusals(scale_policy.SERVICES, None, old=service, user=OBSERVE, operation="DELETE")

    assert deleted(SERVICE) == []
    assert deleted({"metadata": {"name": "argo-server", "labels": {}}})
