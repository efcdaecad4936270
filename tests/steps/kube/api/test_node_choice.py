"""The choice of the two measured nodes, and of the node of a client outside."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import BadInput
from steps.cluster.kube.api import nodes


def some_node(name: str, **fields: Any) -> nodes.ClusterNode:  # noqa: ANN401
    plain = {
        "os": "linux",
        "arch": "amd64",
        "kernel": "6.1.0",
        "cpus": 2.0,
        "ready": True,
        "schedulable": True,
        "pressures": (),
        "has_agent": True,
        "address": "10.0.0.1",
        "instance_type": "t3.medium",
        "zone": "a",
        "provider": None,
        "labels": {},
    }
    return nodes.ClusterNode(name=name, **{**plain, **fields})


def test_most_similar_nodes_are_measured() -> None:
    cluster = [
        some_node("a", zone="z1"),
        some_node("b", zone="z2"),
        some_node("c", zone="z1"),
        some_node("big", instance_type="m6i.8xlarge", cpus=32.0),
        some_node("control", schedulable=False, cpus=64.0),
    ]
    assert nodes.choose_nodes(cluster) == ("a", "c")
    assert nodes.choose_nodes([*cluster, some_node("big2", instance_type="m6i.8xlarge", cpus=32.0)]) == ("big", "big2")
    assert nodes.choose_nodes([some_node("x", kernel="5.15"), some_node("y")]) == ("x", "y")


@given(st.permutations([some_node(name, zone=zone) for name, zone in zip("abcd", "xyxy", strict=True)]))
def test_node_choice_is_independent_of_order(cluster: list[nodes.ClusterNode]) -> None:
    assert nodes.choose_nodes(cluster) == ("a", "c")


@pytest.mark.parametrize("asked", ["a", "a,a", "a,zz", "a,b,c", ","])
def test_named_nodes_must_be_two_of_the_cluster(asked: str) -> None:
    with pytest.raises(BadInput, match="BENCHMARK_NODES must name two nodes of the cluster"):
        nodes.choose_nodes([some_node("a"), some_node("b"), some_node("c")], asked)


def test_named_nodes_are_taken_in_their_order() -> None:
    assert nodes.choose_nodes([some_node("a"), some_node("b"), some_node("c")], " c , a ") == ("c", "a")


def test_nodes_of_a_snapshot_that_would_not_be_chosen_now_are_named() -> None:
    cluster = [some_node("a"), some_node("b", schedulable=False), some_node("c", ready=False)]
    found = list(nodes.unfit_nodes(cluster, ("a", "b", "gone")))
    assert [sentence.partition(", and stays")[0] for sentence in found] == [
        "node b takes no pods (cordoned or tainted)",
        "node gone is no longer in the cluster",
    ]


def test_outside_client_is_on_a_node_without_the_network_plugin() -> None:
    cluster = [
        some_node("a"),
        some_node("o", has_agent=False, schedulable=False),
        some_node("p", has_agent=False, ready=False),
    ]
    assert [node.name for node in nodes.outside_nodes(cluster)] == ["o"]


def test_text_that_a_node_reports_of_itself_is_bounded() -> None:
    long = "6.1\x1b[2J" + "x" * 100_000
    info = {"kernelVersion": long, "osImage": long, "operatingSystem": long, "architecture": long}
    found = nodes.read_node({"metadata": {"name": "n"}, "status": {"nodeInfo": info}}, ())
    for text in (found.kernel, found.os_image, found.os, found.arch, nodes.why_unfit(found)):
        assert len(str(text)) < 400
        assert "\x1b" not in str(text)
