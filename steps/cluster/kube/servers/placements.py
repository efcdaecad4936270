"""How the client of each topology reaches its server, and which monitors count on its path. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from analysis.errors import Problem, Unsupported
from steps.catalogue.tools import served
from steps.catalogue.topologies import Topology, TopologyTarget
from steps.cluster.kube.api.nodes import ClusterNode, url_host
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.servers import monitors
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads.probe_pods import Site
from steps.domain import Monitor, Placement
from steps.tools.tool import MONITOR_PORT, Tool

Uplink = tuple[str | None, int | None]

SERVER: Final = "server"
HOST_SERVER: Final = "server-host"
OUTSIDE_SERVER: Final = "server-outside"
NEAR: Final = "-near"
"""Ends the names of servers on the client's node."""

LOCAL: Final[TopologyTarget] = "local-nodeport"
BALANCED: Final[TopologyTarget] = "load-balancer"
"""The targets with a Service of their own."""

ALWAYS: Final = tuple(served(()))
"""The tools whose servers every visit needs."""


@dataclass(frozen=True, slots=True)
class VisitServers:
    """What serves a visit.

    Attributes:
        places: the client's node and the server's.
        service: the Service before the server.
        others: further Services before it, by the target that is theirs.
        turns: the Service before the server of turns.
        pods: those that run, by name.
        outside: the node of the client outside, if there is one.
        uplinks: the interface with each node's address, and its MTU, where they are known.
        tools: whose servers run.
        token: of the server of turns.
    """

    places: Sequence[Site]
    service: Object
    turns: Object
    pods: Mapping[str, Object]
    outside: ClusterNode | None
    uplinks: Mapping[str, Uplink]
    tools: Sequence[Tool] = ALWAYS
    token: str = ""
    others: Mapping[TopologyTarget, Object] = field(default_factory=dict)

    def placement(self, topology: Topology) -> Placement:
        """How the client of a topology reaches its server."""
        near, far = self.places[0], self.places[-1]
        from_outside, to_node = topology.client == "outside", topology.target == "node-address"
        uplink, far_mtu_bytes = (
            self.uplinks.get(near.node, (None, None))[0],
            self.uplinks.get(far.node, (None, None))[1],
        )
        ports = {tool.name: tool.port for tool in self.tools}
        if topology.target in {"nodeport", LOCAL}:
            ports = node_ports(self.others.get(topology.target, self.service), self.tools)
        # a client outside can't reach the pod network, so it reads the counters at the nodes' own addresses
        kind = monitors.ON_NODE if from_outside else monitors.MONITOR
        source = {place.node: self._monitor(f"{kind}-{index}") for index, place in enumerate(self.places)}
        nat = Monitor(node=near.node, side="nat", source=source[near.node])
        at_server = nat.model_copy(update={"node": far.node, "side": "server", "source": source[far.node]})
        counting: tuple[Monitor, ...] = (nat.model_copy(update={"side": "client"}), at_server)
        if topology.server == "outside":
            counting = counting[:1]
        elif topology.same_node:
            counting = (nat.model_copy(update={"side": "both"}),)
        elif from_outside:
            counting = (nat, at_server) if topology.through_node else (at_server,)
        return Placement(
            topology=topology.name,
            client_node=self.outside.name if from_outside and self.outside is not None else near.node,
            host_network=topology.client != "pod",
            address=self._address(topology),
            ports=ports,
            interface={"pod": "eth0", "node": uplink, "outside": None}[topology.client],
            # the monitor is a pod there like the server, except for a client outside
            server_interface=None if to_node or topology.needs_outside else "eth0",
            server_mtu_bytes=far_mtu_bytes if to_node else None,
            monitors=counting,
            nat_monitor=nat if topology.through_node else None,
            nat_interface=uplink if topology.through_node else None,
            gate_foreign_cpu=True,
            turns=turns_url(self.turns, self.token, near.address if from_outside else None),
        )

    def _address(self, topology: Topology) -> str:
        near, far = self.places[0].address, self.places[-1].address
        address: str | None = None
        match topology.target:
            case "node-address":
                address = near if topology.same_node else far
            case "pod-address":
                address = pods.ip(self.pods[server_name(topology)])
            case "service":
                address = self.service["spec"]["clusterIP"]
            case "nodeport" | "local-nodeport":
                address = near if topology.target == "nodeport" else far
            case "load-balancer":
                address = balanced_address(self.others[topology.target])
            case "outside-address" if self.outside is not None:
                address = self.outside.address
        if address is None:
            raise Unsupported(f"{topology.name} has no server on this cluster: leave it out.")
        return address

    def _monitor(self, name: str) -> str:
        pod = self.pods[name]
        return f"http://{url_host(pods.ip(pod))}:{MONITOR_PORT}/{pods.token_of(pod)}"


def turns_url(service: Object, token: str, node_address: str | None = None) -> str:
    """The server of turns behind its Service.

    `node_address`: of the node whose NodePort a client outside connects to; None: the client reaches the ClusterIP.
    """
    port = MONITOR_PORT if node_address is None else service["spec"]["ports"][0]["nodePort"]
    return f"http://{url_host(node_address or service['spec']['clusterIP'])}:{port}/{token}"


def balanced_address(service: Object) -> str | None:
    """The address that the cluster gave a Service of type LoadBalancer; None: none yet, or only a name."""
    given = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return next((str(each["ip"]) for each in given if each.get("ip")), None)


def server_name(topology: Topology) -> str:
    """The pod that serves a topology: by its target, whatever the client is."""
    if topology.server == "outside":
        return OUTSIDE_SERVER
    return (HOST_SERVER if topology.server == "node" else SERVER) + (NEAR if topology.same_node else "")


def service_ports(tool: Tool) -> list[Object]:
    """The ports of the Service for a tool, one for each transport."""
    if "udp" in tool.transports:
        return pods.tcp_and_udp(tool.label, tool.port)
    return [pods.service_port(tool.label, tool.port)]


def node_ports(service: Object, tools: Sequence[Tool] = ALWAYS) -> dict[str, int]:
    """The node port of each tool's server, which is the same for TCP and UDP, by the tool's name.

    Raises:
        Problem: a tool has none, or TCP and UDP got different ones.
    """
    given = {port["name"]: port.get("nodePort") for port in service["spec"]["ports"]}
    by_tool = {tool: {port["name"]: given.get(port["name"]) for port in service_ports(tool)} for tool in tools}
    for tool, numbers in by_tool.items():
        if None in numbers.values() or len(set(numbers.values())) > 1:
            listed = " and ".join(f"{number} for {name}" for name, number in numbers.items())
            raise Problem(
                f"Service {service['metadata']['name']} has node ports {listed}, and {tool.name} needs one number for "
                "all of its transports: delete the Service and run it again."
            )
    return {tool.name: int(next(iter(numbers.values())) or 0) for tool, numbers in by_tool.items()}
