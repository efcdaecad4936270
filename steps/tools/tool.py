"""The entry of a measuring program: one `Tool`, which its file in this folder makes. Pure."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeVar

import msgspec

from analysis import formatting
from steps.tools import bounds
from steps.tools.failure import Failure

D = TypeVar("D")

Transport = Literal["tcp", "udp"]

Direction = Literal["forward", "reverse"]
"""forward: client to server. reverse: server to client."""

ToolPlace = Literal["anywhere", "lab", "cluster"]
"""The kind of environment in which a tool measures."""

FIRST_PORT: Final = 5201
LAST_PORT: Final = 5219
"""The range of servers' ports, which is open between the nodes; but for `RESERVED_PORTS`."""

MONITOR_PORT: Final = 5203
"""Of the nodes' monitors on a cluster."""

RESERVED_PORTS: Final = frozenset({MONITOR_PORT, 5204, 5205})
"""Of the nodes' monitors, of the probes of a switch and of readiness, and of the lab's evidence."""

_SHORT_INTERVAL_BELOW_S: Final = 5
_MOST_REPORTS: Final = 600
_LONGEST_INTERVAL_S: Final = 60
"""The longest that iperf3 takes."""

FEW: Final = "few-observations"
"""The flag of a trial with too few observations for its highest percentile, which is null."""

PYTHON: Final = "python"
"""The first word of a command for this project's own Python, wherever that is installed."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a trial's tool.

    Attributes:
        transport: what carries the traffic.
        direction: of the payload.
        streams: in parallel.
        duration_s: of the measurement, whole seconds.
        omit_s: seconds of warm-up before it, which count for nothing.
        offered_bps: the rate of all streams together, bit/s; None: as fast as it goes.
        block_size_bytes: of each write or datagram; None: the tool's choice, or not known when output is read.
        congestion_control: TCP's algorithm; None: the node's own, or not known when output is read.
        load_port: of iperf3's server there, for a tool that loads the path; None: not known when output is read.
        loss_bound_ratio: of datagrams, for a tool that searches the highest rate within it.
    """

    transport: Transport
    direction: Direction = "forward"
    streams: int = 1
    duration_s: int = 1
    omit_s: int = 0
    offered_bps: float | None = None
    block_size_bytes: int | None = None
    congestion_control: str | None = None
    load_port: int | None = None
    loss_bound_ratio: float = 0.001


class Output(msgspec.Struct, frozen=True):
    """A program's output as received; `exit_code` is None where it was killed."""

    stdout: bytes
    stderr: bytes = b""
    exit_code: int | None = 0

    @property
    def end(self) -> str:
        """The exit code, and the last line of the messages if there is one, for a sentence."""
        last = bounds.one_line(self.stderr.decode(errors="replace").strip().rpartition("\n")[2])
        return f"exit code {self.exit_code}{': ' + last if last else ''}"


class OwnCpu(msgspec.Struct, frozen=True):
    """User and system time of a tool's own programs in a trial, in CPU seconds; None: unknown."""

    client_s: float | None = None
    server_s: float | None = None


class Result(Protocol):
    """The results of a trial."""

    @property
    def duration_s(self) -> float:
        """Seconds that were measured, without the warm-up."""
        ...

    @property
    def columns(self) -> Mapping[str, object]:
        """The figures, by their columns of `trials`; payload that arrived is `received_bps`."""
        ...

    @property
    def flags(self) -> Sequence[str]:
        """Reasons for doubt, by their names in `analysis.flags`."""
        ...

    @property
    def samples(self) -> Iterable[Mapping[str, object]]:
        """Figures by interval, as rows of `samples` without trial and source."""
        ...

    @property
    def sentence(self) -> str:
        """The key figure in a few words, such as `5.21 Gbit/s`."""
        ...


@dataclass(frozen=True, slots=True)
class Variant:
    """A tool over one transport.

    Attributes:
        name: unique among all tools; options pick it, reports show it. Small letters, digits and dashes.
        title: the traffic in plain words, as in `in-cluster Service, TCP`.
        transport: what carries the traffic.
        figures: the columns of `trials` that it fills, by which metrics find it.
        by_default: measured where paths or directions are chosen but no variant.
        is_paced: it can send at a given rate.
        most_block_bytes: the largest block that it can send; None: any that settings allow.
    """

    name: str
    title: str
    transport: Transport
    figures: tuple[str, ...]
    by_default: bool = False
    is_paced: bool = False
    most_block_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tool:
    """A measuring program: a client that is run once for each trial, and a server that runs during a visit.

    Attributes:
        name: as stored. Small letters, digits and underscores.
        variants: over which transports it measures.
        port: its server's, the same by TCP and by UDP, from `FIRST_PORT` to `LAST_PORT`.
        command: the client's argument vector, of a task, the server's address and port.
        server: the server's argument vector, of a port. It listens there by TCP, whatever it measures by.
        server_of: the name of the tool whose server it measures against; empty: its own.
        bind: words at the end of the server's command before an address to listen on; None: it listens on all.
        read: the results, of the task, the argument vector as run, and the output. Raises nothing.
        directions: in which it can measure.
        is_parallel: it runs as many streams at once as are requested.
        streams: at once, where they are not requested.
        once_a_visit: it repeats its own measurement, so that a visit has one trial of it, whatever is requested.
        fixed_s: the duration of each trial, without warm-up; None: the requested duration.
        lead_s: seconds before the measurement that each trial takes, in the place of a requested warm-up; None: that.
        by_scale: the step that changes the scale is its client, since it changes the cluster.
        place: where it can measure.
        own_cpu: what its programs used of the CPU, of the task and the output of a trial that has results.
        is_busy: whether a standard output means that the server was still busy, so that nothing was measured yet.
        packages: the programs that it needs beside this project, with the Debian package that brings each.
        version: the command that prints its version; empty: this project's own, which is known.
        oldest: the oldest version whose output has all that is read; empty: any.
    """

    name: str
    variants: tuple[Variant, ...]
    port: int
    command: Callable[[Task, str, int], Sequence[str]]
    server: Callable[[int], Sequence[str]]
    read: Callable[[Task, Sequence[str], Output], Result | Failure]
    directions: tuple[Direction, ...] = ("forward", "reverse")
    is_parallel: bool = False
    streams: int = 1
    once_a_visit: bool = False
    bind: tuple[str, ...] | None = None
    server_of: str = ""
    fixed_s: float | None = None
    lead_s: int | None = None
    by_scale: bool = False
    place: ToolPlace = "anywhere"
    own_cpu: Callable[[Task, Output], OwnCpu] = lambda _task, _output: OwnCpu()
    is_busy: Callable[[bytes], bool] = lambda _stdout: False
    packages: Mapping[str, str] = field(default_factory=dict)
    version: tuple[str, ...] = ()
    oldest: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Its name in Kubernetes and reports: that of its variant where it has one alone."""
        return self.variants[0].name if len(self.variants) == 1 else self.name.replace("_", "-")

    @property
    def transports(self) -> tuple[Transport, ...]:
        """The transports of its server; TCP first, which each listens on."""
        return ("tcp", "udp") if any(variant.transport == "udp" for variant in self.variants) else ("tcp",)

    def omit_s(self, requested_s: int) -> int:
        """Seconds before each of its measurements that count for nothing."""
        if self.lead_s is not None:
            return self.lead_s
        return requested_s if self.fixed_s is None else 0

    def lasts_s(self, duration_s: int, omit_s: int) -> float:
        """The duration of one of its trials, warm-up included."""
        return (duration_s if self.fixed_s is None else self.fixed_s) + self.omit_s(omit_s)

    @property
    def served_by(self) -> str:
        """The name of the tool whose server it measures against."""
        return self.server_of or self.name


def decode_output(decoder: "msgspec.json.Decoder[D]", output: Output, program: str) -> "D | Failure":
    """What one of this project's own programs printed, or the reason why it is not readable."""
    if not output.stdout.strip():
        return Failure(f"{program} printed nothing, {output.end}")
    found = bounds.decode(decoder, output.stdout, program, len(output.stdout))
    if isinstance(found, Failure):
        return Failure(f"{found.reason}, {output.end}")
    return Failure(f"{program} ended with {output.end}") if output.exit_code != 0 else found


def shown_time(seconds: float | None) -> str:
    """A time for a tool's sentence, in the units of reports; None: unknown."""
    return "an unknown time" if seconds is None else formatting.quantity(seconds, "s")


def here(argv: Sequence[str]) -> list[str]:
    """The argument vector with this process's own Python in the place of `PYTHON`."""
    return [sys.executable if argv[0] == PYTHON else argv[0], *argv[1:]]


def interval_s(duration_s: float) -> float:
    """The interval of a program's reports: half a second, a second in a long trial, and more in one of many minutes."""
    if duration_s < _SHORT_INTERVAL_BELOW_S:
        return 0.5
    return float(min(_LONGEST_INTERVAL_S, max(1, math.ceil(duration_s / _MOST_REPORTS))))
