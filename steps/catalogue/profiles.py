"""The profiles: how much is measured. One entry each; every amount can be overridden by an option of that name."""

from dataclasses import dataclass
from typing import Final

from steps.model import Cell

_TELLING_TCP: Final = (
    Cell(topology="node-to-node", tool="iperf3", transport="tcp", direction="forward"),
    Cell(topology="pod-to-pod", tool="iperf3", transport="tcp", direction="forward"),
    Cell(topology="pod-to-service", tool="iperf3", transport="tcp", direction="forward"),
    Cell(topology="pod-to-pod-same-node", tool="iperf3", transport="tcp", direction="forward"),
    Cell(topology="external-to-nodeport", tool="iperf3", transport="tcp", direction="reverse"),
)
CONNECT: Final = (Cell(topology="pod-to-service", tool="tcp_connect", transport="tcp", direction="forward"),)
_UDP: Final = (
    Cell(topology="pod-to-pod", tool="iperf3", transport="udp", direction="forward"),
    Cell(topology="pod-to-service", tool="iperf3", transport="udp", direction="forward"),
    Cell(topology="external-to-nodeport", tool="iperf3", transport="udp", direction="reverse"),
)


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of it, in one kind of environment. Its fields are those of `steps.settings.Settings`.

    `rounds`: visits of each dataplane, the unit of replication. `duration_s`: of one trial. `repetitions`: of
    each trial in a visit. `idle_s`: of the baseline before them. `services`: that nobody uses, beside the measured one.
    `remeasure_ratio`: what share of the time of its trials a step may spend on measuring those again that others
    disturbed; they are flagged in any case.
    """

    rounds: int
    duration_s: int
    repetitions: int = 1
    omit_s: int = 0
    idle_s: float = 0.2
    services: int = 1000
    remeasure_ratio: float = 0.5


@dataclass(frozen=True, slots=True)
class Profile:
    """How much is measured.

    `cells`: what is compared; all topologies in all protocols and directions where it is None. `lab`, `cluster`: how
    much of it there. A switch takes a tenth of a second in the lab, so time goes into rounds; on a cluster it takes a
    minute or more, so that trials are longer and repeated within a visit.
    """

    name: str
    description: str
    cells: tuple[Cell, ...] | None
    lab: Amount
    cluster: Amount


PROFILES: Final = (
    Profile(
        "smoke",
        "does everything work (55 s in the lab, 18 min on a cluster)",
        (
            *(c for c in _TELLING_TCP if c.topology in {"pod-to-service", "external-to-nodeport"}),
            *CONNECT,
        ),
        lab=Amount(rounds=2, duration_s=1, services=100, remeasure_ratio=0),
        cluster=Amount(rounds=2, duration_s=2, idle_s=1, services=0),
    ),
    Profile(
        "quick",
        "large differences (4 min, 55 min)",
        (*_TELLING_TCP, _UDP[1], *CONNECT),
        lab=Amount(rounds=6, duration_s=1),
        cluster=Amount(rounds=3, duration_s=10, repetitions=2, idle_s=5, services=100),
    ),
    Profile(
        "standard",
        "differences of a few per cent (14 min, 3.5 h)",
        (*_TELLING_TCP, *_UDP, *CONNECT),
        lab=Amount(rounds=10, duration_s=2),
        cluster=Amount(rounds=4, duration_s=10, repetitions=8, idle_s=5),
    ),
    Profile(
        "thorough",
        "every topology, protocol and direction (43 min, 7 h)",
        None,
        lab=Amount(rounds=10, duration_s=3, idle_s=1.0),
        cluster=Amount(rounds=6, duration_s=10, repetitions=4, idle_s=5),
    ),
)

BY_NAME: Final = {p.name: p for p in PROFILES}
DEFAULT: Final = "quick"
