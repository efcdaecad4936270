"""The profiles: how much is measured. One entry each; every field can be overridden by an option of that name."""

from dataclasses import dataclass
from typing import Final

from steps.model import Cell

_TELLING_TCP: Final = (
    Cell(topology="node-to-node", protocol="tcp", direction="forward"),
    Cell(topology="pod-to-pod", protocol="tcp", direction="forward"),
    Cell(topology="pod-to-service", protocol="tcp", direction="forward"),
    Cell(topology="pod-to-pod-same-node", protocol="tcp", direction="forward"),
    Cell(topology="external-to-nodeport", protocol="tcp", direction="reverse"),
)
_CONNECT: Final = (Cell(topology="pod-to-service", protocol="connect", direction="forward"),)
_UDP: Final = (
    Cell(topology="pod-to-pod", protocol="udp", direction="forward"),
    Cell(topology="pod-to-service", protocol="udp", direction="forward"),
    Cell(topology="external-to-nodeport", protocol="udp", direction="reverse"),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """How much is measured.

    `cells`: what is compared; all topologies in all protocols and directions where it is None. `rounds`: visits of each
    dataplane, the unit of replication. `duration_s`: of one iperf3 trial. `repetitions`: of each trial in a visit.
    """

    name: str
    description: str
    cells: tuple[Cell, ...] | None
    rounds: int
    duration_s: int
    repetitions: int = 1
    omit_s: int = 0
    idle_s: float = 0.2
    services: int = 1000


PROFILES: Final = (
    Profile(
        "smoke",
        "does everything work: under 45 s, too short for conclusions on small differences",
        (
            *(c for c in _TELLING_TCP if c.topology in {"pod-to-service", "external-to-nodeport"}),
            *_CONNECT,
        ),
        rounds=2,
        duration_s=1,
        services=100,
    ),
    Profile("quick", "about 3 minutes: large differences", (*_TELLING_TCP, _UDP[1], *_CONNECT), rounds=6, duration_s=1),
    Profile(
        "standard",
        "about 15 minutes: differences of a few per cent",
        (*_TELLING_TCP, *_UDP, *_CONNECT),
        rounds=10,
        duration_s=2,
    ),
    Profile(
        "thorough",
        "about an hour: every topology, protocol and direction",
        None,
        rounds=10,
        duration_s=3,
        idle_s=1.0,
    ),
)

BY_NAME: Final = {p.name: p for p in PROFILES}
DEFAULT: Final = "quick"
