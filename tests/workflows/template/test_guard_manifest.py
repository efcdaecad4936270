"""The guard's CronJob: it runs where Argo is dead and a node is down, and pulls no image that the nodes don't have."""

from typing import Any, Final

import pytest

from workflows.template.benchmark import build_template
from workflows.template.guard import build_guard

Object = dict[str, Any]

SPEC: Final[Object] = build_guard()["spec"]
POD: Final[Object] = SPEC["jobTemplate"]["spec"]["template"]["spec"]

LOST = [("node.kubernetes.io/unreachable", "NoSchedule"), ("node.kubernetes.io/unreachable", "NoExecute")]
NOT_READY = [("node.kubernetes.io/not-ready", "NoSchedule"), ("node.kubernetes.io/not-ready", "NoExecute")]
"""What the node controller and the kubelet put on a node that is down."""


def tolerated(key: str, effect: str) -> Object | None:
    """The toleration that fits a taint without a value, as the scheduler compares them."""
    fits = (
        each
        for each in POD["tolerations"]
        if each["operator"] == "Exists" and each.get("key", key) == key and each.get("effect", effect) == effect
    )
    return next(fits, None)


def test_guard_is_of_plain_kubernetes_and_one_at_a_time() -> None:
    guard = build_guard()
    assert (guard["apiVersion"], guard["kind"]) == ("batch/v1", "CronJob")
    assert SPEC["schedule"] == "* * * * *"
    assert SPEC["concurrencyPolicy"] == "Forbid", "the one that stays with a run is the only one"


@pytest.mark.parametrize("taints", [LOST, NOT_READY])
def test_guard_leaves_a_node_that_is_down_and_begins_on_none(taints: list[tuple[str, str]]) -> None:
    assert any(tolerated(*taint) is None for taint in taints), "a new one is placed elsewhere"
    (seconds,) = [found["tolerationSeconds"] for taint in taints if (found := tolerated(*taint))]
    assert 0 < seconds <= 30, "one that is there makes way for another"


@pytest.mark.parametrize(
    "taint",
    [
        ("node.kubernetes.io/network-unavailable", "NoSchedule"),  # what a half-made switch may do to every node
        ("node-role.kubernetes.io/control-plane", "NoSchedule"),
    ],
)
def test_guard_is_placed_where_other_pods_are_not(taint: tuple[str, str]) -> None:
    assert tolerated(*taint) is not None


def test_guard_needs_no_network_plugin() -> None:
    assert POD["hostNetwork"], "a half-made switch may keep every other pod from starting"
    assert POD["dnsPolicy"] == "ClusterFirstWithHostNet", "the address that is notified may be a Service"


def test_guard_is_bound_to_no_node_and_pulls_no_other_image() -> None:
    assert not {"nodeName", "nodeSelector", "affinity", "topologySpreadConstraints"} & set(POD)
    (container,) = POD["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    steps = {t["script"]["image"] for t in build_template().to_dict()["spec"]["templates"] if "script" in t}
    assert steps == {container["image"]}
    assert "initContainers" not in POD
