"""Each topology finds a server at its target in both adapters: those of the catalogue, and any that could be added."""

from itertools import product
from typing import Any, get_args

import pytest

from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE, TOPOLOGIES, End, Target, Topology
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.servers import trial_servers
from steps.cluster.kube.servers.placements import VisitServers
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.lab import servers
from steps.cluster.lab.network import addresses
from steps.domain import Placement

Object = dict[str, Any]
PLACES = [probe_pods.Site("near", "10.250.0.11"), probe_pods.Site("far", "10.250.0.12")]
OUTSIDE = ClusterNode("out", "linux", "amd64", "6.1", 2.0, True, True, (), (), False, None, None, None, None, {})  # noqa: FBT003


def _is_legal(client: End, target: Target, same_node: bool) -> bool:  # noqa: FBT001 - one of a product
    to_service = target in {"service", "nodeport"}
    return not (same_node and (to_service or client == "outside")) and (client != "outside" or target != "pod-address")


ANY = [
    Topology(f"{client}-to-{target}{'-same-node' if near else ''}", "toy", "Toy.", client, target, near)
    for client, target, near in product(get_args(End), get_args(Target), (False, True))
    if _is_legal(client, target, near)
]
EVERY = [*TOPOLOGIES, *(topology for topology in ANY if topology.name not in BY_NAME)]


@pytest.mark.parametrize("topology", EVERY, ids=lambda t: t.name)
def test_the_lab_has_a_server_behind_the_target(topology: Topology) -> None:
    listening = {(server.namespace, server.port) for server in servers.needed([topology])}
    place = servers.placement(topology)
    owners = {addresses.NODE_A.address: addresses.NODE_A.name, addresses.NODE_B.address: addresses.NODE_B.name}
    owners |= {pod.address: pod.name for node in addresses.NODES for pod in node.pods}
    behind = addresses.SERVER_POD.name if topology.target in {"service", "nodeport"} else owners[place.address]
    assert {(behind, tool.port) for tool in servers.ALWAYS} <= listening
    assert (place.nat_monitor is not None) == topology.through_node


@pytest.mark.parametrize("topology", EVERY, ids=lambda t: t.name)
def test_a_cluster_has_a_server_behind_the_target(topology: Topology) -> None:
    made = {pod["metadata"]["name"]: pod for pod in trial_servers.manifests([topology], PLACES, "image:1")}
    address_of = {place.node: place.address for place in PLACES}
    there = {
        name: {**pod, "status": {"podIP": address_of[_node(pod)] if pod["spec"]["hostNetwork"] else f"10.244.0.{i}"}}
        for i, (name, pod) in enumerate(made.items(), 1)
    }
    place = _placed(topology, there)
    serving = [pod for name, pod in there.items() if name.startswith("server") and _answers(pod, place, topology)]
    assert serving, f"nothing is behind {place.address}"
    assert {_node(pod) for pod in serving} == {"near" if topology.same_node else "far"}
    counted = {monitor.node: monitor.side for monitor in place.monitors}
    assert counted[_node(serving[0])] in {"server", "both"}
    assert ("near" in counted) == (topology.client != "outside" or topology.through_node), (
        "what has no part is not counted"
    )
    assert (place.nat_interface is not None) == topology.through_node


def test_the_control_is_always_served() -> None:
    (only,) = (t for t in TOPOLOGIES if t.name == "pod-to-pod")
    assert "server-host" in {pod["metadata"]["name"] for pod in trial_servers.manifests([only], PLACES, "image:1")}
    assert addresses.NODE_B.name in {server.namespace for server in servers.needed([only])}
    assert BY_NAME[NODE_TO_NODE].server == "node"


def _placed(topology: Topology, there: dict[str, Object]) -> Placement:
    ports = [{"name": name, "nodePort": 30001} for name in ("iperf3-tcp", "iperf3-udp", "connect")]
    service = {"metadata": {"name": "trials"}, "spec": {"clusterIP": "10.96.0.9", "ports": ports}}
    return VisitServers(PLACES, service, service, there, OUTSIDE, {"near": ("ens5", 1500)}).placement(topology)


def _answers(pod: Object, place: Placement, topology: Topology) -> bool:
    if topology.target in {"service", "nodeport"}:
        return bool(trial_servers.service()["spec"]["selector"].items() <= pod["metadata"]["labels"].items())
    return bool(pod["status"]["podIP"] == place.address)


def _node(pod: Object) -> str:
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])
