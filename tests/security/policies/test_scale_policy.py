"""The admission policies of a cluster's scale admit what a run makes, and refuse what would reach others by it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from steps.cluster.kube.scale import objects, programming
from steps.cluster.kube.scale.programming_pods import ECHO, ROLE
from tests.security.policies.test_admission_policies import SWITCH
from tests.workflows.policies import CONTROLLER, refusals
from workflows.template import scale_policy

Object = dict[str, Any]

MADE: dict[str, list[Object]] = {
    scale_policy.SERVICES: [objects.service(45_000), programming._manifest("programming-1")],
    scale_policy.ENDPOINT_SLICES: [
        *objects.endpoint_slices(1, 250, 4),
        *objects.endpoint_slices(45_000, 50, 4),
        *objects.endpoint_slices(1, 3, 6),
        *objects.endpoint_slices(45_000, 3, 6),
        programming._slice("programming-1", ["10.64.0.9"], 4),
        {**programming._slice("programming-1", [], 4), "endpoints": None},
    ],
    scale_policy.NETWORK_POLICIES: [
        objects.policy(10_000, 4),
        objects.admitting_policy(),
        {"metadata": {"labels": programming._LABELS}, "spec": {"podSelector": {"matchLabels": {ROLE: ECHO}}}},
    ],
}


@pytest.mark.parametrize("policy", MADE)
def test_scale_policy_admits_what_a_run_makes(policy: str) -> None:
    for made in MADE[policy]:
        assert refusals(policy, made, user=SWITCH) == [], made["metadata"]


@pytest.mark.parametrize("policy", MADE)
def test_scale_policy_deletes_only_own_objects(policy: str) -> None:
    others = {"metadata": {"name": "scale-00001", "labels": {}}}
    for made in MADE[policy]:
        assert refusals(policy, None, old=made, user=SWITCH, operation="DELETE") == []
    assert refusals(policy, None, old=others, user=SWITCH, operation="DELETE")
    assert refusals(policy, None, old=others, user=CONTROLLER, operation="DELETE") == []


def changed(made: Object, change: Callable[[Object], object]) -> Object:
    found = copy.deepcopy(made)
    change(found)
    return found


SERVICE, SLICE, POLICY = (MADE[policy][0] for policy in MADE)


@pytest.mark.parametrize("change", [
    lambda it: it["spec"].update(type="NodePort"), lambda it: it["spec"].update(type="LoadBalancer"),
    lambda it: it["spec"].update(externalIPs=["10.0.0.1"]), lambda it: it["metadata"].update(name="web"),
    lambda it: it["spec"].update(selector={"dataplane-benchmark/serves": "trials"}),
    lambda it: it["metadata"].update(labels={}),
])  # fmt: skip
def test_services_without_a_selector_are_inside_the_cluster(change: Callable[[Object], object]) -> None:
    assert refusals(scale_policy.SERVICES, changed(SERVICE, change), user=SWITCH)


def addresses(*found: str) -> Callable[[Object], object]:
    return lambda it: it.update(endpoints=[{"addresses": [each]} for each in found])


@pytest.mark.parametrize("change", [
    addresses("10.64.0.9"), addresses("198.18.0.1", "10.0.0.1"), addresses("198.20.0.1"), addresses("169.254.169.254"),
    addresses("2001:4860::1"), addresses("::ffff:10.0.0.1"),
    lambda it: it["metadata"]["labels"].update({objects.SERVICE_OF: "trials"}),
    lambda it: it["metadata"]["labels"].update({objects.SERVICE_OF: "kubernetes"}),
    lambda it: it["metadata"]["labels"].update({objects.MANAGED_BY: "endpointslice-controller.k8s.io"}),
    lambda it: it["metadata"]["labels"].pop(objects.MANAGED_BY),
])  # fmt: skip
def test_endpoint_slice_outside_of_the_scale_is_refused(change: Callable[[Object], object]) -> None:
    made = changed(SLICE, change)
    assert refusals(scale_policy.ENDPOINT_SLICES, made, user=SWITCH)
    assert refusals(scale_policy.ENDPOINT_SLICES, made, old=SLICE, user=SWITCH, operation="UPDATE")
    assert refusals(scale_policy.ENDPOINT_SLICES, made, user=CONTROLLER) == [], (
        "only the benchmark's accounts are bound"
    )


def test_slices_of_others_are_not_taken_over() -> None:
    theirs = changed(SLICE, lambda it: it["metadata"].update(labels={}))
    assert refusals(scale_policy.ENDPOINT_SLICES, SLICE, old=theirs, user=SWITCH, operation="UPDATE")


@pytest.mark.parametrize("selector", [{}, {"matchLabels": {}}, {"matchLabels": {"app": "web"}}])
def test_network_policies_select_own_pods_only(selector: Object) -> None:
    made = changed(POLICY, lambda it: it["spec"].update(podSelector=selector))
    assert refusals(scale_policy.NETWORK_POLICIES, made, user=SWITCH)
