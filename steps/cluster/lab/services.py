"""The Services of the lab: the one that is measured, and as many further ones as the settings ask for."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Literal

from steps.catalogue.tools import TOOLS
from steps.cluster.lab.addresses import SERVER_POD
from steps.cluster.lab.sandbox import in_user_namespace

EVIDENCE_PORT: Final = 5203
"""Carries the traffic that is sent to see which dataplane forwards it; no figure is measured on it."""

NODEPORT_OFFSET: Final = 25000
"""A Service port of the measured Service plus this is its NodePort."""

CLUSTER_IP: Final = "10.96.0.10"
_FURTHER: Final = IPv4Address("10.97.0.1")
BATCH: Final = 40
"""Service ports in one netlink message, where the message may not be large."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service, with its one backend, as kube-proxy sees it. The backend listens on the same port."""

    name: str
    address: str
    protocol: Literal["tcp", "udp"]
    port: int
    backend: str
    node_port: int | None = None

    def hashed(self, *more: str) -> str:
        """The 16 characters by which kube-proxy names what belongs to this port."""
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
        for tool in TOOLS
        for transport in tool.transports
    ),
    _measured("evidence", "tcp", EVIDENCE_PORT),
    _measured("evidence-udp", "udp", EVIDENCE_PORT),
)

EVIDENCE: Final = tuple(p for p in MEASURED if p.port == EVIDENCE_PORT)


def filler_ports(count: int) -> Iterator[ServicePort]:
    """Services that nobody uses, each of one port and with an address of its own; the first of them is the first."""
    for i in range(count):
        yield ServicePort(f"default/idle-{i}:http", str(_FURTHER + i), "tcp", 80, SERVER_POD.address)


def all_ports(count: int) -> list[ServicePort]:
    """The further Services, then the measured one: last is the worst place in a list of rules."""
    return [*filler_ports(count), *MEASURED]


def batch_size() -> int | None:
    """How many Service ports' rules fit into one netlink message; None: any number.

    Root may make its socket's buffer as large as it likes; an ordinary user's ends at net.core.wmem_max.
    """
    return BATCH if in_user_namespace() else None


def batches(ports: list[ServicePort], size: int | None) -> Iterator[list[ServicePort]]:
    """The same ports in order, `size` at a time (None: all at once)."""
    step = size or max(1, len(ports))
    for start in range(0, len(ports), step):
        yield ports[start : start + step]
