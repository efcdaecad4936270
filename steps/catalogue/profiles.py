"""The profiles: how much is measured, unless options say otherwise. One entry each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from steps.catalogue.cells import PlannedCell
from steps.catalogue.tools import TOOLS
from steps.catalogue.topologies import TOPOLOGIES
from steps.tools import programming
from steps.tools.tool import Transport


def _of_service(tools: Iterable[str], transport: Transport = "tcp") -> tuple[PlannedCell, ...]:
    """Cells of the path to an in-cluster Service."""
    return tuple(
        PlannedCell(topology="pod-to-service", tool=tool, transport=transport, direction="forward") for tool in tools
    )


_STREAM: Final = _of_service(["iperf3"])
_TELLING_TCP: Final = (
    PlannedCell(topology="node-to-node", tool="iperf3", transport="tcp", direction="forward"),
    PlannedCell(topology="pod-to-pod", tool="iperf3", transport="tcp", direction="forward"),
    *_STREAM,
    PlannedCell(topology="pod-to-pod-same-node", tool="iperf3", transport="tcp", direction="forward"),
    PlannedCell(topology="external-to-nodeport", tool="iperf3", transport="tcp", direction="reverse"),
)
_CONNECT: Final = _of_service(["tcp_connect"])
_UDP: Final = _of_service(["iperf3"], "udp")
_PING_PONG: Final = _of_service(["sockperf"])
_TAIL: Final = _of_service(["sockperf_load90", "tcp_connect_64"])
LATENCY: Final = (
    *_CONNECT,
    *_of_service(["tcp_connect_8"]),
    *_PING_PONG,
    *_of_service(["sockperf"], "udp"),
    *_TAIL,
    *_of_service(["sockperf_load50"]),
    *_of_service(["sockperf_load90"], "udp"),
)
"""Connections, requests and responses, as `thorough` measures them."""

_SHAPES: Final = (*_of_service(["tcp_8"]), *_of_service(["ladder_512"], "udp"))
SHAPES: Final = (
    *_SHAPES,
    *_of_service(["tcp_both", "tcp_64b", "tcp_1kb", "tcp_16kb"]),
    *_of_service(["ladder_64", "ladder_1372", "ladder_largest"], "udp"),
)
"""Streams, sizes of messages, both directions at once, and the ladders, as `thorough` measures them."""

_CHANGES: Final = _of_service(tool.name for tool in programming.TOOLS)
_SCALE: Final = (*_STREAM, *_CONNECT, *(cell for cell in _CHANGES if cell.tool in {"rules_update", "service_added"}))
"""What more Services may cost: throughput and CPU, a new connection, and how late a change works."""

_LONG_S: Final = 5.0
"""Of tools that last longer and read the same, such as the sizes of the ladder, a self-test has the first."""


def _self_test() -> tuple[PlannedCell, ...]:
    """Every path and every tool, paired in the order of their catalogues, which begin anew where one is shorter."""
    long = {tool.read: tool for tool in reversed(TOOLS) if (tool.fixed_s or 0) > _LONG_S}
    chosen = [tool for tool in TOOLS if not tool.by_scale and long.get(tool.read, tool) is tool]
    variants = [
        (tool, variant)
        for place, tool in enumerate(chosen)
        for variant in [v for v in tool.variants if v.by_default] or [tool.variants[place % len(tool.variants)]]
    ]
    cells = []
    for place in range(max(len(variants), len(TOPOLOGIES))):
        (tool, variant), topology = variants[place % len(variants)], TOPOLOGIES[place % len(TOPOLOGIES)]
        direction = topology.direction if topology.direction in tool.directions else tool.directions[0]
        cells.append(
            PlannedCell(topology=topology.name, tool=tool.name, transport=variant.transport, direction=direction)
        )
    return (*cells, *_CHANGES)


@dataclass(frozen=True, slots=True)
class Profile:
    """What is measured; how much of it is the default of each option, by profile, in `steps.catalogue.options`.

    A switch takes a tenth of a second in the lab, which affords more rounds; on a cluster it takes a minute or more, so
    trials there are longer and repeated within a visit.

    `cells`: what is compared, as far as its tools measure in the environment; None: all topologies in all protocols and
    directions. `is_dealt`: they are dealt out over the dataplanes, so that each is measured once and nothing is
    compared. `finds_ratio`: the difference that 8 of 10 runs find on a path, if the visits of a dataplane differ by
    `VISITS_DIFFER_RATIO`; None: nothing is promised. `make bench-sensitivity` fails where it is not kept.
    """

    name: str
    description: str
    cells: tuple[PlannedCell, ...] | None
    finds_ratio: float | None = None
    is_dealt: bool = False


VISITS_DIFFER_RATIO: Final = 0.04
"""The standard deviation of a figure over the visits of a dataplane for which profiles promise what they find."""

PROFILES: Final = (
    Profile(
        "selftest",
        "does every path and every tool work, each in one dataplane (60 s in the lab, 7 min)",
        _self_test(),
        is_dealt=True,
    ),
    Profile(
        "smoke",
        "does every dataplane work (60 s in the lab, 8 min with three dataplanes on a cluster)",
        (*(c for c in _TELLING_TCP if c.topology in {"pod-to-service", "external-to-nodeport"}), *_CONNECT),
    ),
    Profile(
        "quick",
        "finds differences of 20 % (at most 5 min on a quiet machine, 17 min)",
        (*_TELLING_TCP, *_UDP, *_CONNECT, *_PING_PONG),
        finds_ratio=0.2,
    ),
    Profile(
        "standard",
        "finds differences of 10 % (at most 17 min on a quiet machine, 5 h)",
        (*_TELLING_TCP, *_UDP, *_SHAPES, *_CONNECT, *_PING_PONG, *_TAIL),
        finds_ratio=0.1,
    ),
    Profile(
        "thorough",
        "every topology, protocol, direction and shape (at most 1 h on a quiet machine, 5 h)",
        None,
    ),
    Profile(
        "scale",
        "what more Services cost (at most 4 min on a quiet machine, 30 min with three dataplanes)",
        _SCALE,
    ),
)

BY_NAME: Final = {p.name: p for p in PROFILES}
DEFAULT: Final = "quick"
NIGHTLY: Final = "standard"


def is_dealt(name: str) -> bool:
    """Whether the profile of this name deals its cells out over the dataplanes; unknown ones do not."""
    return name in BY_NAME and BY_NAME[name].is_dealt
