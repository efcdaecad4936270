"""eBPF with direct server return: replies to a NodePort's client go from the backend's node straight to the client."""

from typing import Final

from steps.cluster.lab.dataplanes.ebpf import MECHANISM, attach
from steps.cluster.lab.mechanism import Traits
from steps.cluster.lab.network.services import ServicePort
from steps.domain import Change

TRAITS: Final = Traits(MECHANISM, tracks_connections=False, returns_directly=True)


def install(ports: list[ServicePort], burden: int) -> list[Change]:
    """Load, fill and attach the programs on both nodes; replies go directly."""
    return attach(ports, burden, direct_return=True)
