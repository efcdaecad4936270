"""iperf3: a planned trial to an argument vector, and what came back to a report or a failure. Pure; 3.12 to 3.22."""

from collections.abc import Sequence
from typing import Final

import msgspec

from steps.catalogue.options import Settings
from steps.model import Trial
from steps.reports import bounds, iperf3_plan, iperf3_streams
from steps.reports.failure import Failure as Failure  # noqa: PLC0414 - what `read` returns belongs to it
from steps.reports.iperf3_document import Document, Figures, decode
from steps.reports.iperf3_document import Interval as ReportedInterval
from steps.reports.iperf3_plan import Asked

CONNECT_TIMEOUT_S: Final = 5
"""How long iperf3 tries to reach its server."""

UDP_BLOCK_BYTES: Final = 1372
"""One UDP datagram: whole in a path of MTU 1400, and so within any tunnel over 1500.

iperf3's own choice follows the control connection's MSS, so packets would differ in size between topologies.
"""

CANARY_S: Final = 1
"""How long a canary sends: the least that iperf3 takes.

Not a number of bytes: from 3.16 on, iperf3 ends such a test only at its next reporting interval, so that bytes over
seconds would be the bytes over a whole second on any path.
"""

LONG_RECEIVER: Final = "long-receiver"
"""The flag of a test whose receiver counted for longer than planned, so that its rate may be too low."""

DUPLICATES: Final = "duplicate-packets"
"""The flag of a test in which datagrams arrived twice, or too late to be missed still: its losses are unknown."""

_SHORT_INTERVAL_BELOW_S: Final = 5
_SHORTEST_INTERVAL_S: Final = 0.01
_SHORTEST_SHARE: Final = 0.9
_LONGEST_SHARE: Final = 1.03
_MICROSECOND: Final = 1e-6


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """One of iperf3's reporting intervals, all streams together. `side`: which end counted, sender or receiver."""

    side: str
    offset_s: float
    duration_s: float
    omitted: bool
    bps: float | None = None
    retransmits: int | None = None
    rtt_s: float | None = None
    cwnd_bytes: int | None = None
    lost_packets: int | None = None
    total_packets: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of iperf3 measured, omitted seconds left out. None: this version or protocol doesn't say."""

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
    intervals: tuple[Interval, ...] = ()
    flags: tuple[str, ...] = ()


def interval_s(duration_s: float) -> float:
    """How often a trial of this length is looked at: half a second, or a second where it is long."""
    return 0.5 if duration_s < _SHORT_INTERVAL_BELOW_S else 1.0


def argv(trial: Trial, settings: Settings, address: str, port: int) -> list[str]:
    """The client's argument vector, without what puts it in its place."""
    command = _client(address, port)
    command += ["-t", str(trial.duration_s), "-i", f"{interval_s(trial.duration_s):g}", "-P", str(trial.streams)]
    if settings.omit_s:
        command += ["-O", str(settings.omit_s)]
    if trial.direction == "reverse":
        command += ["-R"]
    if trial.protocol == "udp":
        block = settings.block_size_bytes or UDP_BLOCK_BYTES
        return [*command, "-u", "-b", str(_stream_bps(trial)), "-l", str(block), "--udp-counters-64bit"]
    if settings.block_size_bytes is not None:
        command += ["-l", str(settings.block_size_bytes)]
    return [*command, *_congestion_control(settings)]


def canary_argv(settings: Settings, address: str, port: int) -> list[str]:
    """A TCP test of `CANARY_S`, forward, one stream."""
    where = [*_client(address, port), "-t", str(CANARY_S), "-i", f"{interval_s(CANARY_S):g}"]
    return [*where, *_congestion_control(settings)]


def asked_for_canary(argv: Sequence[str]) -> Asked:
    """What a canary's program was asked for: what `canary_argv` asks for, or, in older documents, so many bytes."""
    size_bytes = iperf3_plan.size_bytes(argv)
    return Asked(protocol="tcp", duration_s=0 if size_bytes else CANARY_S, size_bytes=size_bytes)


def asked_for(trial: Trial, argv: Sequence[str], omit_s: int) -> Asked:
    """What a trial's program was asked for.

    Args:
        trial: as planned; its protocol is iperf3's.
        argv: as it was run, which has the block size.
        omit_s: seconds of warm-up.
    """
    udp = trial.protocol == "udp"
    return Asked(
        protocol="udp" if udp else "tcp",
        reverse=trial.direction == "reverse",
        streams=trial.streams,
        duration_s=trial.duration_s,
        omit_s=omit_s,
        block_size_bytes=iperf3_plan.block_size_bytes(argv),
        stream_bps=_stream_bps(trial) if udp else None,
    )


def _stream_bps(trial: Trial) -> int:
    """iperf3 counts -b for each stream; without -b it would send 1 Mbit/s, and 0 is as fast as it goes."""
    return 0 if trial.offered_bps is None else round(trial.offered_bps / trial.streams)


def _congestion_control(settings: Settings) -> list[str]:
    return ["-C", settings.congestion_control] if settings.congestion_control else []


def _client(address: str, port: int) -> list[str]:
    timeout_ms = str(CONNECT_TIMEOUT_S * 1000)
    return ["iperf3", "-c", address, "-p", str(port), "-J", "--connect-timeout", timeout_ms]


def read(stdout: bytes, stderr: bytes, exit_code: int | None, asked: Asked) -> Report | Failure:
    """What iperf3's output says, held against what was asked.

    The JSON's `error` is the truth, since iperf3 exits 0 with one and some versions refuse on stderr alone.

    Args:
        stdout: as received; may be empty, cut short, or no JSON.
        stderr: as received.
        exit_code: None where the program was killed before it had one.
        asked: what the program was told to do.
    """
    end = f"exit code {'unknown' if exit_code is None else exit_code}{_first_line(stderr)}"
    document = decode(stdout, end)
    if isinstance(document, Failure):
        return document
    if document.error is not None:
        return Failure(f"iperf3: {bounds.one_line(document.error) or 'an error that it does not name'}")
    if exit_code != 0:
        return Failure(f"iperf3 ended with {end}")
    return _report(document, asked)


def _first_line(stderr: bytes) -> str:
    text = bounds.one_line(stderr.decode(errors="replace"))
    return f": {text}" if text else ""


def _fault(document: Document, asked: Asked) -> str | None:
    """Why the document is no measurement of what was asked, as a sentence; None where it is one."""
    if (other := iperf3_plan.contradiction(document.start.test_start, asked)) is not None:
        return other
    sent, received = document.end.sum_sent or document.end.sum, document.end.sum_received
    if received is None or not received.seconds or received.bits_per_second is None:
        return "iperf3's JSON has no figures for what was received"
    if not received.bytes or not received.bits_per_second:
        return f"no byte reached the receiver in {received.seconds:.3g} s"
    if not received.adds_up or (sent is not None and not sent.adds_up):
        return "iperf3's bytes, seconds and bits per second contradict each other"
    return _too_short(document, received.seconds, asked) or iperf3_streams.fault(document, asked)


def _too_short(document: Document, seconds: float, asked: Asked) -> str | None:
    if asked.size_bytes and not iperf3_plan.ends_with_its_bytes(document.start.version):
        version = bounds.one_line(document.start.version or "iperf3", 40)
        return f"{version} ends a test of so many bytes at its next interval only, so it has no rate"
    if seconds < _SHORTEST_SHARE * asked.duration_s:
        return f"iperf3 measured {seconds:.3g} s of the {asked.duration_s} s planned"
    return None


def _report(document: Document, asked: Asked) -> Report | Failure:
    if (fault := _fault(document, asked)) is not None:
        return Failure(fault)
    start, end = document.start.test_start, document.end
    sent, received = end.sum_sent or end.sum, end.sum_received
    assert start is not None
    assert received is not None
    assert received.seconds
    assert received.bits_per_second is not None
    udp = asked.protocol == "udp"
    senders = [stream.sender for stream in end.streams if stream.sender is not None]
    # A mean of 0 us is how iperf3 says that it does not know.
    rtts = [sender.mean_rtt for sender in senders if sender.mean_rtt is not None and sender.mean_rtt > 0]
    lost, total, doubts = _losses(document, start.blksize) if udp else (None, None, ())
    long = (LONG_RECEIVER,) if 0 < _LONGEST_SHARE * asked.duration_s < received.seconds else ()
    return Report(
        version=bounds.one_line(document.start.version or "", 40).removeprefix("iperf ") or None,
        duration_s=received.seconds,
        sent_bps=sent.bits_per_second if sent is not None else None,
        received_bps=received.bits_per_second,
        lost_packets=lost,
        total_packets=total,
        jitter_s=received.jitter_ms / 1000 if udp and received.jitter_ms is not None else None,
        retransmits=_whole(sent.retransmits) if sent is not None and not udp else None,
        rtt_s=sum(rtts) / len(rtts) * _MICROSECOND if rtts else None,
        block_size_bytes=start.blksize,
        congestion_control=bounds.one_line(end.sender_tcp_congestion or "", 40) or None if not udp else None,
        intervals=_intervals(document.intervals, asked.omit_s),
        flags=(*doubts, *long, *iperf3_streams.flags(document, asked)),
    )


def _losses(document: Document, block_bytes: int | None) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Packets lost and sent, and the flags on them: as counted, else reckoned from the bytes at both ends.

    The bytes are right in all versions. Where datagrams arrived twice, a count below zero, of one stream or of all,
    says only that losses can't be known: a duplicate hides a loss.
    """
    sent, received = document.end.sum_sent or document.end.sum, document.end.sum_received
    assert received is not None
    counts = [received.lost_packets, *(s.udp.lost_packets for s in document.end.streams if s.udp is not None)]
    if any(count is not None and count < 0 for count in counts):
        return None, _whole(received.packets), (DUPLICATES,)
    if iperf3_streams.counted(document):
        return _whole(received.lost_packets), _whole(received.packets), ()
    flags = ("udp-counters",)
    if sent is None or not sent.bytes or not block_bytes or received.bytes is None or received.bytes > sent.bytes:
        return None, None, flags
    return round((sent.bytes - received.bytes) / block_bytes), round(sent.bytes / block_bytes), flags


def _intervals(reported: list[ReportedInterval], omit_s: int) -> tuple[Interval, ...]:
    intervals = [i for i in map(_interval, reported) if i is not None]
    # iperf3's own clock starts anew after the omitted seconds.
    omitted_s = max([float(omit_s), *(i.offset_s + i.duration_s for i in intervals if i.omitted)])
    return tuple(i if i.omitted else msgspec.structs.replace(i, offset_s=i.offset_s + omitted_s) for i in intervals)


def _interval(interval: ReportedInterval) -> Interval | None:
    total = interval.sum
    if total is None or total.start is None or not total.seconds:
        return None
    start_s, duration_s, bps = _span(total)
    rtts = [stream.rtt for stream in interval.streams if stream.rtt is not None and stream.rtt > 0]
    windows = [stream.snd_cwnd for stream in interval.streams if stream.snd_cwnd is not None and stream.snd_cwnd > 0]
    receiver = total.sender is False
    return Interval(
        side="receiver" if receiver else "sender",
        offset_s=start_s,
        duration_s=duration_s,
        omitted=total.omitted,
        bps=bps,
        retransmits=_whole(total.retransmits),
        rtt_s=sum(rtts) / len(rtts) * _MICROSECOND if rtts else None,
        cwnd_bytes=_whole(sum(windows)) if windows else None,
        lost_packets=_whole(total.lost_packets) if receiver else None,
        total_packets=_whole(total.packets),
    )


def _span(total: Figures) -> tuple[float, float, float | None]:
    """Start and duration of an interval in seconds, and its bits per second.

    The first interval after the warm-up often has its bytes since the warm-up, but the seconds since the interval
    before, so that its rate is half the real one: its end, by the clock that started anew, is how long it lasted.
    """
    assert total.start is not None
    assert total.seconds
    reported_late = not total.omitted and total.end is not None and total.seconds > 1.1 * total.end
    if reported_late and total.end is not None and total.end > _SHORTEST_INTERVAL_S and total.bytes is not None:
        return 0.0, total.end, total.bytes * 8 / total.end
    return total.start, total.seconds, total.bits_per_second


def _whole(figure: float | None) -> int | None:
    # iperf3 says -1 where the other end does not count.
    return round(figure) if figure is not None and figure >= 0 else None
