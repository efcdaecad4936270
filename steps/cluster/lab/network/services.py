"""The Services of the lab: the measured ones, and the unused ones of a scale."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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
_BACKENDS: Final = IPv4Address("198.18.0.1")
_BACKEND_COUNT: Final = 131_070
"""Of the addresses for benchmarks (RFC 2544), which no pod has. A Service's own are all different."""

BATCH: Final = 40
"""Endpoints in one netlink message, where its size is limited."""

LARGE_BATCH: Final = 2_000
"""Endpoints in one transaction where it is not. iptables-nft-restore compares each chain's name with all others of its
transaction: 10,000 Services at once took it 36 s of a busy machine, and 3 s in such parts."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service with its backends, which listen on the same port.

    `local`: externalTrafficPolicy Local. `balanced`: it has the load balancer's address, too. `number`: its own.
    """

    name: str
    address: str
    protocol: Literal["tcp", "udp"]
    port: int
    backends: tuple[str, ...]
    node_port: int | None = None
    local: bool = False
    balanced: bool = False
    number: int = 0

    def hashed(self, *more: str) -> str:
        """The 16 characters in kube-proxy's names of the chains for this port."""
        digest = hashlib.sha256("".join((self.name, self.protocol, *more)).encode()).digest()
        return base64.b32encode(digest).decode()[:16]

    @property
    def backend(self) -> str:
        """The first backend, which is the only one of a measured Service."""
        return self.backends[0]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """ADDRESS:PORT of each backend."""
        return tuple(f"{backend}:{self.port}" for backend in self.backends)

    @property
    def node(self) -> LabNode:
        """The node whose NodePort is connected to: that of the backend where policy is Local, else the other one."""
        return NODE_B if self.local else NODE_A

    def has_backend_on(self, node: LabNode) -> bool:
        """Whether its backend is a pod of this node."""
        return self.backend in {pod.address for pod in node.pods}


def _of_service(name: str, protocol: Literal["tcp", "udp"], port: int) -> list[ServicePort]:
    """A port of each of the measured Services."""
    own = ServicePort(f"default/own:{name}", OWN_IP, protocol, port, (CLIENT_POD.address,))
    local = ServicePort(
        f"default/local:{name}", LOCAL_IP, protocol, port, (SERVER_POD.address,), port + LOCAL_OFFSET, local=True
    )
    server = ServicePort(
        f"default/server:{name}",
        CLUSTER_IP,
        protocol,
        port,
        (SERVER_POD.address,),
        port + NODEPORT_OFFSET,
        balanced=True,
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

_ALL: Final = (port for each in _PORTS for port in _of_service(*each))
MEASURED: Final = tuple(
    replace(port, number=number)
    for number, port in enumerate(sorted(_ALL, key=lambda port: port.address == CLUSTER_IP))
)

EVIDENCE: Final = tuple(p for p in MEASURED if p.port == EVIDENCE_PORT and p.address == CLUSTER_IP)


def filler_port(index: int, endpoints: int, changed: int = 0) -> ServicePort:
    """One unused Service, with one port. `changed`: how often its first endpoint was replaced by another."""
    first = index * endpoints
    backends = [str(_BACKENDS + (first + ordinal) % _BACKEND_COUNT) for ordinal in range(endpoints)]
    if changed % 2:
        backends[0] = str(_BACKENDS + (first + _BACKEND_COUNT // 2) % _BACKEND_COUNT)
    name, number = f"default/idle-{index}:http", len(MEASURED) + index
    return ServicePort(name, str(_FURTHER + index), "tcp", 80, tuple(backends), number=number)


def all_ports(count: int, endpoints: int = 1) -> list[ServicePort]:
    """The unused Services, then the measured ones: last is the worst place in a list of rules."""
    return [*(filler_port(index, endpoints) for index in range(count)), *MEASURED]


def batch_size(most: int) -> int:
    """How many endpoints' rules go into one transaction, of which a program takes so many at best.

    An ordinary user's socket buffer is limited by net.core.wmem_max, and so is a netlink message; root's is not.
    """
    return BATCH if in_user_namespace() else most


def batches(ports: Iterable[ServicePort], size: int) -> Iterator[list[ServicePort]]:
    """The ports in order, as many at a time as have `size` endpoints together, but at least one."""
    lot: list[ServicePort] = []
    endpoints = 0
    for port in ports:
        if lot and endpoints + len(port.backends) > size:
            yield lot
            lot, endpoints = [], 0
        lot.append(port)
        endpoints += len(port.backends)
    if lot:
        yield lot
