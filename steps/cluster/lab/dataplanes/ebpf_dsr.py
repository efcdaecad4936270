"""eBPF with direct server return: a reply to a NodePort's client leaves the backend's node straight for the client."""

from typing import Final

from steps.cluster.lab.dataplanes.ebpf import MECHANISM, attach
from steps.cluster.lab.services import ServicePort
from steps.cluster.lab.signs import Traits
from steps.domain import Change

TRAITS: Final = Traits(MECHANISM, tracks_connections=False, returns_directly=True)


def install(ports: list[ServicePort], burden: int) -> list[Change]:
    """Load, fill and attach the programs on both nodes; replies go directly."""
    return attach(ports, burden, direct_return=True)
