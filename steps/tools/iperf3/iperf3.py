"""iperf3 3.12 to 3.22: throughput of streams over TCP and UDP. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from analysis import formatting
from steps.tools import bounds
from steps.tools.failure import Failure
from steps.tools.iperf3 import intervals, plan, streams
from steps.tools.iperf3.document import IperfDocument, parse
from steps.tools.iperf3.intervals import MICROSECOND, MeasuredInterval, whole
from steps.tools.tool import Output, OwnCpu, Task, Tool, Variant, interval_s

CONNECT_TIMEOUT_S: Final = 5
"""The time limit of iperf3 for reaching its server."""

UDP_BLOCK_BYTES: Final = 1372
"""One UDP datagram, which fits a path of MTU 1400, and so any tunnel over 1500.

iperf3's own choice depends on the control connection's MSS, so packets would differ in size between topologies.
"""

CANARY_S: Final = 1
"""The duration of a canary, the shortest that iperf3 takes.

Not a number of bytes: from 3.16 on, iperf3 ends such a test only at its next reporting interval, so that it has no
rate.
"""

LONG_RECEIVER: Final = "long-receiver"
"""The flag of a test whose receiver counted for longer than planned, so that its rate may be too low."""

DUPLICATES: Final = "duplicate-packets"
"""The flag of a test in which datagrams arrived twice, or too late to count as lost: its losses are unknown."""

_SHORTEST_SHARE: Final = 0.9
_LONGEST_SHARE: Final = 1.03
_LARGEST_SHARE: Final = 1e6
"""Per cent of one core: 10,000 cores."""

_BUSY: Final = b"server is busy"
_RESET: Final = b"Connection reset by peer"
_UNCONNECTED: Final = re.compile(rb'"connected":\s*\[\]')


class IperfReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one run of iperf3 without its warm-up. None: this version or protocol doesn't report it."""

    version: str | None
    duration_s: float
    sent_bps: float | None
    received_bps: float
    lost_packets: int | None = None
    total_packets: int | None = None
    jitter_s: float | None = None
    retransmits: int | None = None
    rtt_s: float | None = None
    block_size_bytes: int | None = None
    congestion_control: str | None = None
    intervals: tuple[MeasuredInterval, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def columns(self) -> Mapping[str, object]:
        """The figures, by their columns of `trials`."""
        return {name: getattr(self, name) for name in _COLUMNS}

    @property
    def samples(self) -> Iterator[Mapping[str, object]]:
        """A row for each interval."""
        return (msgspec.structs.asdict(interval) for interval in self.intervals)

    @property
    def sentence(self) -> str:
        """Throughput, and losses where they are counted."""
        lost = ""
        if self.lost_packets is not None and self.total_packets:
            lost = f", {self.lost_packets / self.total_packets:.1%} lost"
        return f"{formatting.quantity(self.received_bps, 'bit/s')}{lost}"


_COLUMNS: Final = (
    *("sent_bps", "received_bps", "lost_packets", "total_packets", "jitter_s", "retransmits", "rtt_s"),
    *("block_size_bytes", "congestion_control"),
)


def command(task: Task, address: str, port: int) -> list[str]:
    """The client's argument vector."""
    argv = _client(address, port)
    argv += ["-t", str(task.duration_s), "-i", f"{interval_s(task.duration_s):g}", "-P", str(task.streams)]
    if task.omit_s:
        argv += ["-O", str(task.omit_s)]
    if task.direction == "reverse":
        argv += ["-R"]
    if task.transport == "udp":
        block = task.block_size_bytes or UDP_BLOCK_BYTES
        return [*argv, "-u", "-b", str(plan.stream_bps(task)), "-l", str(block), "--udp-counters-64bit"]
    if task.block_size_bytes is not None:
        argv += ["-l", str(task.block_size_bytes)]
    return [*argv, *_congestion_control(task.congestion_control)]


def server(port: int) -> list[str]:
    """The server's argument vector."""
    return ["iperf3", "-s", "-p", str(port)]


def canary_command(congestion_control: str | None, address: str, port: int) -> list[str]:
    """A TCP test of `CANARY_S`, forward, one stream."""
    where = [*_client(address, port), "-t", str(CANARY_S), "-i", f"{interval_s(CANARY_S):g}"]
    return [*where, *_congestion_control(congestion_control)]


def canary_task(argv: Sequence[str]) -> Task:
    """The task of a canary's command: that of `canary_command`, or, in older documents, a number of bytes."""
    return Task(transport="tcp", duration_s=0 if plan.size_bytes(argv) else CANARY_S)


def _congestion_control(algorithm: str | None) -> list[str]:
    return ["-C", algorithm] if algorithm else []


def _client(address: str, port: int) -> list[str]:
    timeout_ms = str(CONNECT_TIMEOUT_S * 1000)
    return ["iperf3", "-c", address, "-p", str(port), "-J", "--connect-timeout", timeout_ms]


def read(task: Task, argv: Sequence[str], output: Output) -> IperfReport | Failure:
    """The report in iperf3's output, checked against the request."""
    document = read_document(output)
    return document if isinstance(document, Failure) else read_one_way(document, task, argv)


def read_document(output: Output) -> IperfDocument | Failure:
    """The document in iperf3's output, or why it has none.

    The JSON's `error` decides, since iperf3 exits 0 with one, and some versions refuse on stderr alone.
    """
    code, text = output.exit_code, bounds.one_line(output.stderr.decode(errors="replace"))
    end = f"exit code {'unknown' if code is None else code}{': ' + text if text else ''}"
    document = parse(output.stdout)
    if isinstance(document, Failure):
        return Failure(f"{document.reason}, {end}")
    if document.error is not None:
        return Failure(error_text(document.error))
    return Failure(f"iperf3 ended with {end}") if code != 0 else document


def error_text(error: str) -> str:
    """What iperf3 says of its error, in a line."""
    return f"iperf3: {bounds.one_line(error) or 'an error that it does not name'}"


def read_one_way(document: IperfDocument, task: Task, argv: Sequence[str]) -> IperfReport | Failure:
    """The report of a document whose streams all go in the task's direction, checked against the request."""
    fault = _fault(document, task, argv)
    return Failure(fault) if fault is not None else _report(document, task)


def _fault(document: IperfDocument, task: Task, argv: Sequence[str]) -> str | None:
    """Why the document is no measurement of the request, as a sentence; None: it is one."""
    if (other := plan.contradiction(document.start.test_start, task, argv)) is not None:
        return other
    sent, received = document.end.sum_sent or document.end.sum, document.end.sum_received
    if received is None or not received.seconds or received.bits_per_second is None:
        return "iperf3's JSON has no figures for what was received"
    if not received.bytes or not received.bits_per_second:
        return f"no byte reached the receiver in {received.seconds:.3g} s"
    if not received.adds_up or (sent is not None and not sent.adds_up):
        return "iperf3's bytes, seconds and bits per second contradict each other"
    return _too_short(document, received.seconds, task, argv) or streams.fault(document, task)


def _too_short(document: IperfDocument, seconds: float, task: Task, argv: Sequence[str]) -> str | None:
    if plan.size_bytes(argv) and not plan.ends_with_its_bytes(document.start.version):
        version = bounds.one_line(document.start.version or "iperf3", 40)
        return f"{version} ends a test of so many bytes at its next interval only, so it has no rate"
    if seconds < _SHORTEST_SHARE * task.duration_s:
        return f"iperf3 measured {seconds:.3g} s of the {task.duration_s} s planned"
    return None


def _report(document: IperfDocument, task: Task) -> IperfReport:
    start, end = document.start.test_start, document.end
    sent, received = end.sum_sent or end.sum, end.sum_received
    assert start is not None
    assert received is not None
    assert received.seconds
    assert received.bits_per_second is not None
    udp = task.transport == "udp"
    senders = [stream.sender for stream in end.streams if stream.sender is not None]
    # iperf3 reports a mean of 0 us where it is unknown.
    rtts = [sender.mean_rtt for sender in senders if sender.mean_rtt is not None and sender.mean_rtt > 0]
    lost, total, doubts = _losses(document, start.blksize) if udp else (None, None, ())
    long = (LONG_RECEIVER,) if 0 < _LONGEST_SHARE * task.duration_s < received.seconds else ()
    return IperfReport(
        version=bounds.one_line(document.start.version or "", 40).removeprefix("iperf ") or None,
        duration_s=received.seconds,
        sent_bps=sent.bits_per_second if sent is not None else None,
        received_bps=received.bits_per_second,
        lost_packets=lost,
        total_packets=total,
        jitter_s=received.jitter_ms / 1000 if udp and received.jitter_ms is not None else None,
        retransmits=whole(sent.retransmits) if sent is not None and not udp else None,
        rtt_s=sum(rtts) / len(rtts) * MICROSECOND if rtts else None,
        block_size_bytes=start.blksize,
        congestion_control=bounds.one_line(end.sender_tcp_congestion or "", 40) or None if not udp else None,
        intervals=intervals.read(document.intervals, task.omit_s),
        flags=(*doubts, *long, *streams.flags(document, task)),
    )


def _losses(document: IperfDocument, block_bytes: int | None) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Packets lost and sent, and the flags on them: as counted, else computed from the bytes at both ends.

    The bytes are right in all versions. A negative count, of one stream or of all, means that datagrams arrived twice:
    a duplicate hides a loss, so that the losses are unknown.
    """
    sent, received = document.end.sum_sent or document.end.sum, document.end.sum_received
    assert received is not None
    counts = [received.lost_packets, *(s.udp.lost_packets for s in document.end.streams if s.udp is not None)]
    if any(count is not None and count < 0 for count in counts):
        return None, whole(received.packets), (DUPLICATES,)
    if streams.counted(document):
        return whole(received.lost_packets), whole(received.packets), ()
    flags = ("udp-counters",)
    if sent is None or not sent.bytes or not block_bytes or received.bytes is None or received.bytes > sent.bytes:
        return None, None, flags
    return round((sent.bytes - received.bytes) / block_bytes), round(sent.bytes / block_bytes), flags


def own_cpu(task: Task, output: Output) -> OwnCpu:
    """What client and server used of the CPU: their shares of one core, times the whole test with its warm-up."""
    document = parse(output.stdout)
    shares = document.end.cpu_utilization_percent if isinstance(document, IperfDocument) else None
    if shares is None:
        return OwnCpu()
    wall_s = task.duration_s + task.omit_s
    return OwnCpu(
        client_s=_cpu_s(shares.host_user, shares.host_system, wall_s),
        server_s=_cpu_s(shares.remote_user, shares.remote_system, wall_s),
    )


def _cpu_s(user: float | None, system: float | None, wall_s: float) -> float | None:
    if user is None or system is None or not 0 <= user + system <= _LARGEST_SHARE:
        return None
    return (user + system) / 100 * wall_s


def is_busy(stdout: bytes) -> bool:
    """Whether the server refused the client because it was still busy with an earlier one.

    It may reset the connection before its answer is read. From 3.18 on it is busy for a moment after each client.
    """
    if _BUSY in stdout[-2000:]:
        return True
    return _RESET in stdout[-2000:] and _UNCONNECTED.search(stdout[:2000]) is not None


TOOL: Final = Tool(
    name="iperf3",
    variants=(
        Variant(
            "tcp",
            "TCP",
            "tcp",
            ("received_bps", "sent_bps", "retransmits", "rtt_s", "block_size_bytes", "congestion_control"),
            by_default=True,
        ),
        Variant(
            "udp",
            "UDP",
            "udp",
            ("received_bps", "sent_bps", "lost_packets", "total_packets", "jitter_s", "block_size_bytes"),
            by_default=True,
            is_paced=True,
            most_block_bytes=65_507,
        ),
    ),
    port=5201,
    command=command,
    server=server,
    bind=("-B",),
    read=read,
    is_parallel=True,
    own_cpu=own_cpu,
    is_busy=is_busy,
    packages={"iperf3": "iperf3"},
    version=("iperf3", "--version"),
    oldest=(3, 12),
)
