"""The servers of the lab, one for each tool, started again whenever one dies."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from analysis.errors import Problem
from steps.catalogue.tools import CANARY, served
from steps.catalogue.topologies import BY_NAME, CONTROL, Topology
from steps.cluster.lab import addresses
from steps.cluster.lab.namespaces import argv_inside, end_processes, path, within
from steps.cluster.lab.services import CLUSTER_IP, NODEPORT_OFFSET
from steps.cluster.lab.topology import present_namespaces
from steps.domain import Monitor, Placement
from steps.tools.tool import Tool, here

ALWAYS: Final = served(())
"""The tools whose servers every visit needs."""

LOGS: Final = Path("/run/lab/logs")
_ROOT: Final = Path(__file__).resolve().parents[3]
_PATIENCE_S: Final = 10.0
_POLL_S: Final = 0.005
_LISTENING: Final = "0A"
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
        """Where it says what goes wrong."""
        return LOGS / f"{self.namespace}-{self.port}.log"


def placement(topology: Topology, tools: Sequence[Tool] = ALWAYS) -> Placement:
    """How a measuring step reaches a topology."""
    offset, interface, namespace = 0, addresses.POD_INTERFACE, addresses.CLIENT_POD.name
    if topology.client == "node":
        interface, namespace = addresses.UNDERLAY, addresses.NODE_A.name
    elif topology.client == "outside":
        interface, namespace = addresses.UNDERLAY, addresses.OUTSIDE
    if topology.target == "nodeport":
        offset = NODEPORT_OFFSET
    node = addresses.NODE_A.name
    return Placement(
        topology=topology.name,
        client_node=node,
        host_network=topology.client == "node",
        prefix=argv_inside(namespace),
        address=_address(topology),
        ports={tool.name: tool.port + offset for tool in tools},
        interface=interface,
        monitors=(Monitor(node="host", side="both", source="local"),),
        nat_monitor=Monitor(node=node, side="nat", source=f"netns:{node}") if topology.through_node else None,
        nat_interface=addresses.UNDERLAY if topology.through_node else None,
        gate_foreign_cpu=True,
    )


def _address(topology: Topology) -> str:
    node, pod = _ends(topology)
    return {
        "node-address": node.address,
        "pod-address": pod.address,
        "service": CLUSTER_IP,
        "nodeport": addresses.NODE_A.address,
    }[topology.target]


def _ends(topology: Topology) -> tuple[addresses.LabNode, addresses.LabPod]:
    """The node of the server, and the server's pod if it runs in one."""
    return (addresses.NODE_A, addresses.NEAR_POD) if topology.same_node else (addresses.NODE_B, addresses.SERVER_POD)


def needed(topologies: Iterable[Topology], tools: Sequence[Tool] = ALWAYS) -> list[Server]:
    """The servers of these tools that these topologies need, and the canary."""
    namespaces: dict[str, None] = {}
    for topology in (BY_NAME[CONTROL], *topologies):
        node, pod = _ends(topology)
        namespaces[node.name if topology.server == "node" else pod.name] = None
    return [
        Server(namespace, tool.port, tuple(here(tool.server(tool.port)))) for namespace in namespaces for tool in tools
    ]


def start(servers: list[Server]) -> None:
    """Start the servers and wait until each listens.

    Raises:
        Problem: a port is taken, or a server does not listen; with what it said.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    for server in servers:
        if server.port in listening(server.namespace):
            raise Problem(f"port {server.port} in namespace {server.namespace} is taken by another program: end it.")
    for server in servers:
        _launch(server)
    for server in servers:
        _await(server)


def _launch(server: Server) -> None:
    search = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with server.log.open("wb") as log:
        try:
            subprocess.Popen(
                argv_inside(server.namespace, "sh", "-c", _AGAIN, "sh", *server.argv),
                env=os.environ | {"PYTHONPATH": search},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise Problem("nsenter is not installed: type `sudo apt-get install -y util-linux`.") from None


def _await(server: Server) -> None:
    waiting = Retrying(
        stop=stop_after_delay(_PATIENCE_S),
        wait=wait_fixed(_POLL_S),
        retry=retry_if_result(lambda ports: server.port not in ports),
    )
    try:
        waiting(listening, server.namespace)
    except RetryError:
        output = " ".join(server.log.read_text(errors="replace").split())[-_SHOWN:] or "it said nothing"
        raise Problem(
            f"{server.argv[0]} in namespace {server.namespace} does not listen on port {server.port} "
            f"after {_PATIENCE_S:g} s: {output}"
        ) from None


def listening(namespace: str) -> set[int]:
    """The TCP ports that are listened on in a namespace.

    Raises:
        Problem: there is no such namespace.
    """
    if not path(namespace).exists():
        raise Problem(f"the lab has no namespace {namespace}: configure a dataplane first.")

    def read() -> list[str]:
        tables = (Path("/proc/thread-self/net", name) for name in ("tcp", "tcp6"))
        return [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]

    fields = (line.split() for line in within(namespace, read))
    return {int(field[1].rpartition(":")[2], 16) for field in fields if field[3] == _LISTENING}


def are_running() -> bool:
    """Whether a visit's servers are there: the canary's is among them, whatever is measured."""
    return path(addresses.NODE_B.name).exists() and CANARY.port in listening(addresses.NODE_B.name)


def stop() -> int:
    """End all that runs in the lab's namespaces. Returns how many processes there were."""
    return end_processes(present_namespaces())
