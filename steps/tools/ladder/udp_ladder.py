"""The UDP ladder: the highest rate at which loss stays within a bound, for datagrams of four sizes. Pure.

`client` is the program: its probes are tests of iperf3 against the server of iperf3, chosen by `search`. The rate is
that of the payload that arrived, reported beside the size and the loss as RFC 8219 and RFC 9411 do.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from analysis import formatting
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.ladder import client, search
from steps.tools.ladder.client import Climb, ClimbRequest
from steps.tools.ladder.search import LadderResult, Probe
from steps.tools.tool import PYTHON, Output, Task, Tool, Variant, decode_output

SENDER_LIMITED: Final = "sender-limited"
"""The flag of a ladder whose sender could not offer more, so that the path may carry more."""

OPEN: Final = "ladder-open"
"""The flag of a ladder that ended before its rate was found to 20 % and confirmed."""

LASTS_S: Final = 8.5
"""The usual duration of a trial: eight probes of a second, and the start and end of each."""

MOST_S: Final = 10.5
"""The time within which a trial begins its probes, nine at most."""

SIZES_BYTES: Final = (64, 512, 1372)
_PROGRAM: Final = "the ladder's client"


class Ladder(msgspec.Struct, frozen=True):
    """The highest rate within the bound. `duration_s`: of all probes together."""

    found: LadderResult
    block_size_bytes: int
    duration_s: float
    samples: ClassVar[tuple[Mapping[str, object], ...]] = ()

    @property
    def bps(self) -> float:
        """Payload that arrived at the rate, mean of its probes."""
        return sum(probe.received_bps for probe in self.found.probes) / len(self.found.probes)

    @property
    def packets_per_s(self) -> float:
        """Datagrams that arrived at the rate."""
        probes = self.found.probes
        arrived = sum(probe.sent_packets - probe.lost_packets for probe in probes)
        return arrived / sum(probe.duration_s for probe in probes)

    @property
    def columns(self) -> Mapping[str, object]:
        """The figures, by their columns of `trials`."""
        probes = self.found.probes
        return {
            "bounded_loss_bps": self.bps,
            "bounded_loss_packets_per_s": self.packets_per_s,
            "bounded_loss_ratio": sum(p.lost_packets for p in probes) / sum(p.sent_packets for p in probes),
            "most_sent_bps": self.found.most_sent_bps,
            "block_size_bytes": self.block_size_bytes,
        }

    @property
    def flags(self) -> tuple[str, ...]:
        """Whether the sender was the limit, and whether the search was cut short."""
        found = self.found
        return tuple(
            name for name, is_so in ((SENDER_LIMITED, found.is_sender_limited), (OPEN, not found.is_exact)) if is_so
        )

    @property
    def sentence(self) -> str:
        """The rate, in bits and in datagrams."""
        limited = ", the sender's limit" if self.found.is_sender_limited else ""
        return (
            f"{formatting.quantity(self.bps, 'bit/s')} ({self.packets_per_s / 1000:.3g} thousand datagrams a second) "
            f"arrive{limited}"
        )


_CLIMB: Final = msgspec.json.Decoder(Climb)


def read(task: Task, _argv: Sequence[str], output: Output) -> Ladder | Failure:
    """The result of the search, made again from the output of each probe."""
    climb = decode_output(_CLIMB, output, _PROGRAM)
    if isinstance(climb, Failure):
        return climb
    probes: list[Probe] = []
    for number, probed in enumerate(climb.probes, 1):
        probe = probed.read(task.direction, climb.block_bytes)
        if isinstance(probe, Failure):
            return Failure(f"probe {number} of {len(climb.probes)}: {probe.reason}")
        probes.append(probe)
    found = search.result(probes, climb.bound)
    if found is not None:
        return Ladder(found, climb.block_bytes, sum(probe.duration_s for probe in probes))
    if not probes:
        return Failure(f"{_PROGRAM} could not begin a probe in its time: iperf3's server was busy")
    least = min(probe.sent_bps for probe in probes)
    return Failure(f"more than {climb.bound:.2%} was lost at each rate, down to {formatting.quantity(least, 'bit/s')}")


def _ladder(name: str, title: str, block_bytes: int) -> Tool:
    def command(task: Task, address: str, port: int) -> list[str]:
        request = ClimbRequest(address, port, task.direction, block_bytes, task.loss_bound_ratio, MOST_S)
        return [PYTHON, "-m", client.__name__, msgspec.json.encode(request).decode()]

    figures = ("bounded_loss_bps", "bounded_loss_packets_per_s", "bounded_loss_ratio", "most_sent_bps")
    return Tool(
        name=name.replace("-", "_"),
        variants=(Variant(name, title, "udp", (*figures, "block_size_bytes")),),
        port=iperf3.TOOL.port,
        command=command,
        server=iperf3.TOOL.server,
        server_of=iperf3.TOOL.name,
        bind=iperf3.TOOL.bind,
        read=read,
        fixed_s=LASTS_S,
        once_a_visit=True,
        packages=iperf3.TOOL.packages,
        version=iperf3.TOOL.version,
        oldest=iperf3.TOOL.oldest,
    )


TOOLS: Final = (
    *(_ladder(f"ladder-{size}", f"UDP within the loss bound, {size} B", size) for size in SIZES_BYTES),
    _ladder("ladder-largest", "UDP within the loss bound, the path's largest datagram", 0),
)
