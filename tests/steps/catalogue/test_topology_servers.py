"""Each topology finds a server at its target in both adapters: those of the catalogue, and any that could be added."""

from itertools import product
from typing import Any, get_args

import pytest

from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE, TOPOLOGIES, Topology, TopologyEnd, TopologyTarget
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.servers import monitors, trial_servers
from steps.cluster.kube.servers.placements import VisitServers
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.lab import servers
from steps.cluster.lab.network import addresses
from steps.domain import Placement

Object = dict[str, Any]
BEYOND = probe_pods.Site("out", "10.250.0.13")
PLACES = [probe_pods.Site("near", "10.250.0.11"), probe_pods.Site("far", "10.250.0.12")]
OUTSIDE = ClusterNode(
    name="out",
    os="linux",
    arch="amd64",
    kernel="6.1",
    cpus=2.0,
    ready=True,
    schedulable=True,
    pressures=(),
    has_agent=False,
    address=BEYOND.address,
    instance_type=None,
    zone=None,
    provider=None,
    labels={},
)


def _is_legal(client: TopologyEnd, target: TopologyTarget, same_node: bool) -> bool:  # noqa: FBT001 - one of a product
    if target == "own-service":
        return client == "pod" and same_node
    inside = target in {"node-address", "pod-address"}
    unreachable = {"pod-address", "service", "outside-address"} if client == "outside" else set()
    return not (same_node and (not inside or client == "outside")) and target not in unreachable


BEFORE_SERVER = {"service", "nodeport", "local-nodeport", "load-balancer"}
"""The targets that lead to the pod on the second node through a Service."""

ANY = [
    Topology(f"{client}-to-{target}{'-same-node' if near else ''}", "toy", "A path.", client, target, near)
    for client, target, near in product(get_args(TopologyEnd), get_args(TopologyTarget), (False, True))
    if _is_legal(client, target, near)
]
EVERY = [*TOPOLOGIES, *(topology for topology in ANY if topology.name not in BY_NAME)]


@pytest.mark.parametrize("topology", EVERY, ids=lambda t: t.name)
def test_lab_has_a_server_behind_the_target(topology: Topology) -> None:
    listening = {(server.namespace, server.port) for server in servers.needed([topology])}
    place = servers.placement(topology)
    owners = {addresses.NODE_A.address: addresses.NODE_A.name, addresses.NODE_B.address: addresses.NODE_B.name}
    owners |= {pod.address: pod.name for node in addresses.NODES for pod in node.pods}
    owners |= {addresses.OUTSIDE_ADDRESS: addresses.OUTSIDE}
    behind = addresses.SERVER_POD.name if topology.target in BEFORE_SERVER else owners.get(place.address)
    if topology.target == "own-service":
        behind = place.namespace
    assert {(behind, tool.port) for tool in servers.ALWAYS} <= listening
    assert (place.nat_monitor is not None) == topology.through_node


@pytest.mark.parametrize("topology", [t for t in EVERY if t.target != "own-service"], ids=lambda t: t.name)
def test_cluster_has_a_server_behind_the_target(topology: Topology) -> None:
    of_visit = trial_servers.manifests([topology], PLACES, "image:1", outside=BEYOND)
    made = {pod["metadata"]["name"]: pod for pod in (*of_visit, *monitors.on_nodes(PLACES, "image:1"))}
    address_of = {place.node: place.address for place in (*PLACES, BEYOND)}
    there = {
        name: {**pod, "status": {"podIP": address_of[_node(pod)] if pod["spec"]["hostNetwork"] else f"10.244.0.{i}"}}
        for i, (name, pod) in enumerate(made.items(), 1)
    }
    place = _placed(topology, there)
    serving = [pod for name, pod in there.items() if name.startswith("server") and _answers(pod, place, topology)]
    assert serving, f"nothing is behind {place.address}"
    beyond = topology.server == "outside"
    assert {_node(pod) for pod in serving} == {"out" if beyond else "near" if topology.same_node else "far"}
    counted = {monitor.node: monitor.side for monitor in place.monitors}
    assert beyond or counted[_node(serving[0])] in {"server", "both"}
    assert ("near" in counted) == (topology.client != "outside" or topology.through_node), (
        "what has no part is not counted"
    )
    assert (place.nat_interface is not None) == topology.through_node


def test_services_of_targets_differ_in_what_makes_the_path() -> None:
    wanted = [BY_NAME["external-to-local-nodeport"], BY_NAME["external-to-load-balancer"]]
    made = trial_servers.other_services(wanted)
    assert made["local-nodeport"]["spec"]["externalTrafficPolicy"] == "Local"
    assert (made["local-nodeport"]["spec"]["type"], made["load-balancer"]["spec"]["type"]) == (
        "NodePort",
        "LoadBalancer",
    )
    names = {each["metadata"]["name"] for each in (trial_servers.service(), *made.values())}
    assert len(names) == 3
    made_pods = (*trial_servers.manifests(wanted, PLACES, "image:1"), *monitors.on_nodes(PLACES, "image:1"))
    pods = {pod["metadata"]["name"]: pod for pod in made_pods}
    there = {name: {**pod, "status": {"podIP": "10.244.0.1"}} for name, pod in pods.items()}
    local, balanced = (_placed(topology, there) for topology in wanted)
    assert (local.address, local.ports["iperf3"]) == (PLACES[-1].address, 30002), "where the backend is"
    assert (balanced.address, balanced.ports["iperf3"]) == ("203.0.113.7", 5201)
    assert trial_servers.other_services([BY_NAME["pod-to-service"]]) == {}


def test_host_network_server_is_always_there() -> None:
    (only,) = (t for t in TOPOLOGIES if t.name == "pod-to-pod")
    assert "server-host" in {pod["metadata"]["name"] for pod in trial_servers.manifests([only], PLACES, "image:1")}
    assert addresses.NODE_B.name in {server.namespace for server in servers.needed([only])}
    assert BY_NAME[NODE_TO_NODE].server == "node"


def _placed(topology: Topology, there: dict[str, Object]) -> Placement:
    ports = [{"name": name, "nodePort": 30001} for name in ("iperf3-tcp", "iperf3-udp", "connect")]
    service: Object = {"metadata": {"name": "trials"}, "spec": {"clusterIP": "10.96.0.9", "ports": ports}}
    others: dict[TopologyTarget, Object] = {
        "local-nodeport": {**service, "spec": {**service["spec"], "ports": [{**p, "nodePort": 30002} for p in ports]}},
        "load-balancer": {**service, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}},
    }
    uplinks = {"near": ("ens5", 1500)}
    return VisitServers(PLACES, service, service, there, OUTSIDE, uplinks, others=others).placement(topology)


def _answers(pod: Object, place: Placement, topology: Topology) -> bool:
    if topology.target in BEFORE_SERVER:
        return bool(trial_servers.service()["spec"]["selector"].items() <= pod["metadata"]["labels"].items())
    return bool(pod["status"]["podIP"] == place.address)


def _node(pod: Object) -> str:
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])
