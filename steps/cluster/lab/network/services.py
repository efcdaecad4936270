"""The Services of the lab: the measured ones, and the fillers of the option `services`."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Literal

from steps.catalogue.tools import SERVED
from steps.cluster.lab.capabilities import in_user_namespace
from steps.cluster.lab.network.addresses import CLIENT_POD, NODE_A, NODE_B, SERVER_POD, LabNode

EVIDENCE_PORT: Final = 5203
"""Of the evidence traffic; no trial uses it."""

NODEPORT_OFFSET: Final = 25000
"""The NodePort of a port of the measured Service, less that port."""

LOCAL_OFFSET: Final = 25100
"""The same of the Service with externalTrafficPolicy Local, which node-b has, where its backend is."""

SERVICE_NETWORK: Final = "10.96.0.0/12"
CLUSTER_IP: Final = "10.96.0.10"
LOCAL_IP: Final = "10.96.0.11"
OWN_IP: Final = "10.96.0.12"
"""Of the Service whose backend is the client's own pod."""

LOAD_BALANCER: Final = "203.0.113.10"
"""The measured Service's address outside of the cluster (RFC 5737), which a router outside sends to node-a."""

_FURTHER: Final = IPv4Address("10.97.0.1")
BATCH: Final = 40
"""Service ports in one netlink message, where its size is limited."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service with its one backend, which listens on the same port.

    `local`: externalTrafficPolicy Local. `balanced`: it has the load balancer's address, too.
    """

    name: str
    address: str
    protocol: Literal["tcp", "udp"]
    port: int
    backend: str
    node_port: int | None = None
    local: bool = False
    balanced: bool = False

    def hashed(self, *more: str) -> str:
        """The 16 characters in kube-proxy's names of the chains for this port."""
        digest = hashlib.sha256("".join((self.name, self.protocol, *more)).encode()).digest()
        return base64.b32encode(digest).decode()[:16]

    @property
    def endpoint(self) -> str:
        """ADDRESS:PORT of the backend."""
        return f"{self.backend}:{self.port}"

    @property
    def node(self) -> LabNode:
        """The node whose NodePort is connected to: that of the backend where policy is Local, else the other one."""
        return NODE_B if self.local else NODE_A

    def has_backend_on(self, node: LabNode) -> bool:
        """Whether its backend is a pod of this node."""
        return self.backend in {pod.address for pod in node.pods}


def _of_service(name: str, protocol: Literal["tcp", "udp"], port: int) -> list[ServicePort]:
    """A port of each of the measured Services."""
    own = ServicePort(f"default/own:{name}", OWN_IP, protocol, port, CLIENT_POD.address)
    local = ServicePort(
        f"default/local:{name}", LOCAL_IP, protocol, port, SERVER_POD.address, port + LOCAL_OFFSET, local=True
    )
    server = ServicePort(
        f"default/server:{name}", CLUSTER_IP, protocol, port, SERVER_POD.address, port + NODEPORT_OFFSET, balanced=True
    )
    return [own, local, server]


_PORTS: Final = (
    *(
        (tool.label if transport == "tcp" else f"{tool.label}-{transport}", transport, tool.port)
        for tool in SERVED
        for transport in tool.transports
    ),
    ("evidence", "tcp", EVIDENCE_PORT),
    ("evidence-udp", "udp", EVIDENCE_PORT),
)

MEASURED: Final = tuple(
    sorted((port for each in _PORTS for port in _of_service(*each)), key=lambda port: port.address == CLUSTER_IP)
)

EVIDENCE: Final = tuple(p for p in MEASURED if p.port == EVIDENCE_PORT and p.address == CLUSTER_IP)


def filler_ports(count: int) -> Iterator[ServicePort]:
    """Unused Services, each with one port and an address of its own."""
    for i in range(count):
        yield ServicePort(f"default/idle-{i}:http", str(_FURTHER + i), "tcp", 80, SERVER_POD.address)


def all_ports(count: int) -> list[ServicePort]:
    """The fillers, then the measured Services: last is the worst place in a list of rules."""
    return [*filler_ports(count), *MEASURED]


def batch_size() -> int | None:
    """How many Service ports' rules fit into one netlink message; None: any number.

    An ordinary user's socket buffer is limited by net.core.wmem_max; root's is not.
    """
    return BATCH if in_user_namespace() else None


def batches(ports: list[ServicePort], size: int | None) -> Iterator[list[ServicePort]]:
    """The ports in order, `size` at a time; None: all at once."""
    step = size or max(1, len(ports))
    for start in range(0, len(ports), step):
        yield ports[start : start + step]
