"""The servers of the lab, one for each tool, restarted whenever one dies. They end with the sandbox."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.errors import Problem
from steps.catalogue.tools import CANARY, served
from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE, Topology
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.processes import end_processes, start_detached
from steps.cluster.lab.network.services import CLUSTER_IP, LOAD_BALANCER, LOCAL_OFFSET, NODEPORT_OFFSET, OWN_IP
from steps.cluster.lab.network.topology import present_namespaces
from steps.domain import LAB_TURNS, LOCAL, Monitor, Placement
from steps.measurement.client_network import listening_ports
from steps.namespaces import path, within
from steps.polling import poll
from steps.tools.tool import Tool, here

ALWAYS: Final = served(())
"""The tools whose servers every visit needs."""

LOGS: Final = Path("/run/lab/logs")
_PATIENCE_S: Final = 10.0
_POLL_S: Final = 0.005
_SHOWN: Final = 300

# A server that dies is back before the next trial, and one that can't start does not spin.
_AGAIN: Final = 'while :; do "$@"; sleep 0.2; done'


@dataclass(frozen=True, slots=True)
class Server:
    """A program that listens in a namespace."""

    namespace: str
    port: int
    argv: tuple[str, ...]

    @property
    def log(self) -> Path:
        """The file with its output."""
        return LOGS / f"{self.namespace}-{self.port}.log"


_TURNS: Final = Server(
    addresses.NODE_A.name,
    0,
    (sys.executable, "-m", "steps.measurement.turns.turns_http", LAB_TURNS.removeprefix("unix:")),
)
"""In a namespace, so that it ends with the other servers. Its socket is a file, which all namespaces reach."""


def placement(topology: Topology, tools: Sequence[Tool] = ALWAYS) -> Placement:
    """The placement of a topology."""
    namespace, interface = {
        "pod": (addresses.CLIENT_POD.name, addresses.POD_INTERFACE),
        "node": (addresses.NODE_A.name, addresses.UNDERLAY),
        "outside": (addresses.OUTSIDE, addresses.UNDERLAY),
    }[topology.client]
    offset = {"nodeport": NODEPORT_OFFSET, "local-nodeport": LOCAL_OFFSET}.get(topology.target, 0)
    node = addresses.NODE_A.name
    return Placement(
        topology=topology.name,
        client_node=node,
        host_network=topology.client == "node",
        namespace=namespace,
        address=_address(topology),
        ports={tool.name: tool.port + offset for tool in tools},
        interface=interface,
        monitors=(Monitor(node="host", side="both", source=LOCAL),),
        nat_monitor=Monitor(node=node, side="nat", source=f"netns:{node}") if topology.through_node else None,
        nat_interface=addresses.UNDERLAY if topology.through_node else None,
        gate_foreign_cpu=True,
        turns=LAB_TURNS,
    )


def _address(topology: Topology) -> str:
    node, pod = _ends(topology)
    return {
        "node-address": node.address,
        "pod-address": pod.address,
        "service": CLUSTER_IP,
        "own-service": OWN_IP,
        "nodeport": addresses.NODE_A.address,
        "local-nodeport": addresses.NODE_B.address,
        "load-balancer": LOAD_BALANCER,
        "outside-address": addresses.OUTSIDE_ADDRESS,
    }[topology.target]


def _ends(topology: Topology) -> tuple[addresses.LabNode, addresses.LabPod]:
    """The node of the server, and the server's pod if it runs in one."""
    if topology.target == "own-service":
        return addresses.NODE_A, addresses.CLIENT_POD
    return (addresses.NODE_A, addresses.NEAR_POD) if topology.same_node else (addresses.NODE_B, addresses.SERVER_POD)


def needed(topologies: Iterable[Topology], tools: Sequence[Tool] = ALWAYS) -> list[Server]:
    """The servers of these tools that these topologies and the canary need."""
    namespaces: dict[str, None] = {}
    for topology in (BY_NAME[NODE_TO_NODE], *topologies):
        node, pod = _ends(topology)
        namespaces[{"node": node.name, "pod": pod.name, "outside": addresses.OUTSIDE}[topology.server]] = None
    return [
        Server(namespace, tool.port, tuple(here(tool.server(tool.port)))) for namespace in namespaces for tool in tools
    ]


def start(servers: list[Server]) -> None:
    """Start the servers and wait until each listens, and the server of turns, whose clients wait for it.

    Raises:
        Problem: a port is in use, or a server does not listen.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    for server in servers:
        if server.port in listening(server.namespace):
            raise Problem(f"port {server.port} in namespace {server.namespace} is taken by another program: end it.")
    for server in (*servers, _TURNS):
        start_detached(server.namespace, ("sh", "-c", _AGAIN, "sh", *server.argv), server.log)
    for server in servers:
        _await(server)


def _await(server: Server) -> None:
    ports = poll(
        lambda: listening(server.namespace),
        lambda found: server.port in found,
        pause_s=_POLL_S,
        timeout_s=_PATIENCE_S,
    )
    if server.port not in ports:
        output = " ".join(server.log.read_text(errors="replace").split())[-_SHOWN:] or "it printed nothing"
        raise Problem(
            f"{server.argv[0]} in namespace {server.namespace} does not listen on port {server.port} "
            f"after {_PATIENCE_S:g} s: {output}"
        )


def listening(namespace: str) -> tuple[int, ...]:
    """The TCP ports with a listener in a namespace.

    Raises:
        Problem: there is no such namespace.
    """
    if not path(namespace).exists():
        raise Problem(f"the lab has no namespace {namespace}: configure a dataplane first.")
    return within(namespace, lambda: listening_ports(Path("/proc/thread-self/net")))


def are_running() -> bool:
    """Whether a visit's servers are running, which include the canary's."""
    return path(addresses.NODE_B.name).exists() and CANARY.port in listening(addresses.NODE_B.name)


def stop() -> None:
    """End everything that runs in the lab's namespaces."""
    end_processes(present_namespaces())
