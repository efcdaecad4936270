"""Shapes of iperf3's traffic over TCP, one entry each: streams, sizes of messages, both directions at once. Pure.

Each is a tool, so that it is planned, compared and drawn beside plain TCP. All of them use the server of iperf3.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from analysis import formatting
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3, older
from steps.tools.iperf3.document import IperfDocument
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tool import Direction, Output, Task, Tool, Variant

_TCP: Final = iperf3.TOOL.variants[0]
_DIRECTIONS: Final[tuple[Direction, ...]] = ("forward", "reverse")


class BothWays(msgspec.Struct, frozen=True):
    """The reports of the two directions of one test."""

    there: IperfReport
    back: IperfReport

    @property
    def duration_s(self) -> float:
        """Seconds that both were measured."""
        return max(self.there.duration_s, self.back.duration_s)

    @property
    def columns(self) -> Mapping[str, object]:
        """The figures, by their columns of `trials`; throughput is that of both directions together."""
        sent = [way.sent_bps for way in (self.there, self.back) if way.sent_bps is not None]
        resent = [way.retransmits for way in (self.there, self.back) if way.retransmits is not None]
        return {
            "received_bps": self.there.received_bps + self.back.received_bps,
            "sent_bps": sum(sent) if len(sent) == len(_DIRECTIONS) else None,
            "retransmits": sum(resent) if len(resent) == len(_DIRECTIONS) else None,
            "block_size_bytes": self.there.block_size_bytes,
            "congestion_control": self.there.congestion_control,
            "forward_bps": self.there.received_bps,
            "reverse_bps": self.back.received_bps,
        }

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of either direction."""
        return tuple(dict.fromkeys((*self.there.flags, *self.back.flags)))

    @property
    def samples(self) -> Iterator[Mapping[str, object]]:
        """The intervals of both; this end is the sender of those forward, and the receiver of the others."""
        return (sample for way in (self.there, self.back) for sample in way.samples)

    @property
    def sentence(self) -> str:
        """Both throughputs."""
        there, back = (formatting.quantity(way.received_bps, "bit/s") for way in (self.there, self.back))
        return f"{there} there and {back} back"


def _read_both(task: Task, argv: Sequence[str], output: Output) -> BothWays | Failure:
    document = iperf3.read_document(output)
    return document if isinstance(document, Failure) else read_both(document, task, argv)


def read_both(document: IperfDocument, task: Task, argv: Sequence[str]) -> BothWays | Failure:
    """The reports of a document of both directions, each checked against the request."""
    start = document.start.test_start
    # 3.12 does not say in the test's description that it is of both directions
    if document.end.sum_received_bidir_reverse is None or (start is not None and start.bidir == 0):
        return Failure("iperf3's JSON is of one direction, and both were requested at once")
    reports = []
    for direction in _DIRECTIONS:
        way = msgspec.structs.replace(task, direction=direction)
        report = iperf3.read_one_way(_one_way(document, direction), way, argv)
        if isinstance(report, Failure):
            return Failure(f"{direction}: {report.reason}")
        reports.append(report)
    return BothWays(*reports)


def _one_way(document: IperfDocument, direction: Direction) -> IperfDocument:
    """The part of a document of both directions that is of one, in the form that a test of that one has."""
    here, end = direction == "forward", document.end
    start = document.start.test_start
    return msgspec.structs.replace(
        document,
        start=msgspec.structs.replace(
            document.start,
            test_start=start and msgspec.structs.replace(start, bidir=0, reverse=int(not here)),
        ),
        intervals=[
            msgspec.structs.replace(
                interval,
                sum=interval.sum if here else interval.sum_bidir_reverse,
                streams=[stream for stream in interval.streams if (stream.sender is not False) == here],
            )
            for interval in document.intervals
        ],
        end=msgspec.structs.replace(
            end,
            streams=[stream for stream in end.streams if older.is_sent(stream) == here],
            sum_sent=end.sum_sent if here else end.sum_sent_bidir_reverse,
            sum_received=end.sum_received if here else end.sum_received_bidir_reverse,
        ),
    )


def _shape(name: str, title: str, *, streams: int = 1, block_bytes: int | None = None) -> Tool:
    """A shape of a number of streams, or of messages of a size; None: iperf3's own, or the requested one."""

    def command(task: Task, address: str, port: int) -> list[str]:
        block = task.block_size_bytes if block_bytes is None else block_bytes
        return iperf3.command(msgspec.structs.replace(task, block_size_bytes=block), address, port)

    return replace(
        iperf3.TOOL,
        name=name.replace("-", "_"),
        variants=(Variant(name, title, "tcp", _TCP.figures),),
        server_of=iperf3.TOOL.name,
        command=command,
        is_parallel=False,
        streams=streams,
    )


def _both_command(task: Task, address: str, port: int) -> list[str]:
    return [*iperf3.command(task, address, port), "--bidir"]


_BOTH: Final = replace(
    iperf3.TOOL,
    name="tcp_both",
    variants=(
        Variant(
            "tcp-both",
            "TCP, both directions at once",
            "tcp",
            (*(figure for figure in _TCP.figures if figure != "rtt_s"), "forward_bps", "reverse_bps"),
        ),
    ),
    server_of=iperf3.TOOL.name,
    command=_both_command,
    read=_read_both,
    directions=("forward",),
    is_parallel=False,
)

EIGHT_STREAMS: Final = _shape("tcp-8", "TCP, 8 streams", streams=8)

TOOLS: Final = (
    EIGHT_STREAMS,
    _BOTH,
    _shape("tcp-64b", "TCP, messages of 64 B", block_bytes=64),
    _shape("tcp-1kb", "TCP, messages of 1 KiB", block_bytes=1024),
    _shape("tcp-16kb", "TCP, messages of 16 KiB", block_bytes=16 * 1024),
)
