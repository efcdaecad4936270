"""The Services of the lab: the measured one, and the fillers of the option `services`."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Literal

from steps.catalogue.tools import SERVED
from steps.cluster.lab.capabilities import in_user_namespace
from steps.cluster.lab.network.addresses import SERVER_POD

EVIDENCE_PORT: Final = 5203
"""Of the evidence traffic; no trial uses it."""

NODEPORT_OFFSET: Final = 25000
"""The NodePort of a port of the measured Service, less that port."""

CLUSTER_IP: Final = "10.96.0.10"
_FURTHER: Final = IPv4Address("10.97.0.1")
BATCH: Final = 40
"""Service ports in one netlink message, where its size is limited."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service with its one backend, which listens on the same port."""

    name: str
    address: str
    protocol: Literal["tcp", "udp"]
    port: int
    backend: str
    node_port: int | None = None

    def hashed(self, *more: str) -> str:
        """The 16 characters in kube-proxy's names of the chains for this port."""
        digest = hashlib.sha256("".join((self.name, self.protocol, *more)).encode()).digest()
        return base64.b32encode(digest).decode()[:16]

    @property
    def endpoint(self) -> str:
        """ADDRESS:PORT of the backend."""
        return f"{self.backend}:{self.port}"


def _measured(name: str, protocol: Literal["tcp", "udp"], port: int) -> ServicePort:
    return ServicePort(f"default/server:{name}", CLUSTER_IP, protocol, port, SERVER_POD.address, port + NODEPORT_OFFSET)


MEASURED: Final = (
    *(
        _measured(tool.label if transport == "tcp" else f"{tool.label}-{transport}", transport, tool.port)
        for tool in SERVED
        for transport in tool.transports
    ),
    _measured("evidence", "tcp", EVIDENCE_PORT),
    _measured("evidence-udp", "udp", EVIDENCE_PORT),
)

EVIDENCE: Final = tuple(p for p in MEASURED if p.port == EVIDENCE_PORT)


def filler_ports(count: int) -> Iterator[ServicePort]:
    """Unused Services, each with one port and an address of its own."""
    for i in range(count):
        yield ServicePort(f"default/idle-{i}:http", str(_FURTHER + i), "tcp", 80, SERVER_POD.address)


def all_ports(count: int) -> list[ServicePort]:
    """The fillers, then the measured Service: last is the worst place in a list of rules."""
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
