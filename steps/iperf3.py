"""iperf3: a planned trial to an argument vector, and what came back to a report or a failure. Pure; 3.12 to 3.21."""

from typing import Final

import msgspec

from steps.model import Trial
from steps.settings import Settings

CONNECT_TIMEOUT_S: Final = 5
"""How long iperf3 tries to reach its server."""

UDP_BLOCK_BYTES: Final = 1372
"""One UDP datagram: whole in a path of MTU 1400, and so within any tunnel over 1500.

iperf3's own choice follows the control connection's MSS, so packets would differ in size between topologies.
"""

_SHORT_INTERVAL_BELOW_S: Final = 5
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


class Failure(msgspec.Struct, frozen=True):
    """Why there is no report, as a sentence."""

    reason: str


class _Figures(msgspec.Struct):
    """A stream or a sum, in an interval or at the end; iperf3 leaves out what does not apply."""

    start: float | None = None
    seconds: float | None = None
    bytes: float | None = None
    bits_per_second: float | None = None
    retransmits: float | None = None
    rtt: float | None = None
    mean_rtt: float | None = None
    snd_cwnd: float | None = None
    jitter_ms: float | None = None
    lost_packets: float | None = None
    packets: float | None = None
    omitted: bool = False
    sender: bool | None = None


class _Interval(msgspec.Struct):
    sum: _Figures | None = None
    streams: list[_Figures] = []


class _Stream(msgspec.Struct):
    sender: _Figures | None = None
    receiver: _Figures | None = None
    udp: _Figures | None = None


class _End(msgspec.Struct):
    streams: list[_Stream] = []
    sum: _Figures | None = None
    sum_sent: _Figures | None = None
    sum_received: _Figures | None = None
    sender_tcp_congestion: str | None = None


class _TestStart(msgspec.Struct):
    protocol: str | None = None
    blksize: int | None = None


class _Start(msgspec.Struct):
    version: str | None = None
    test_start: _TestStart | None = None


class _Document(msgspec.Struct):
    start: _Start = msgspec.field(default_factory=_Start)
    intervals: list[_Interval] = []
    end: _End = msgspec.field(default_factory=_End)
    error: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Document)


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
        # iperf3 counts -b for each stream; without -b it would send 1 Mbit/s, and 0 is as fast as it goes.
        rate = 0 if trial.offered_bps is None else round(trial.offered_bps / trial.streams)
        block = settings.block_size_bytes or UDP_BLOCK_BYTES
        return [*command, "-u", "-b", str(rate), "-l", str(block), "--udp-counters-64bit"]
    if settings.block_size_bytes is not None:
        command += ["-l", str(settings.block_size_bytes)]
    return [*command, *_congestion_control(settings)]


def canary_argv(settings: Settings, address: str, port: int, size_bytes: int) -> list[str]:
    """A TCP run that ends after so many bytes, forward, one stream."""
    return [*_client(address, port), "-n", str(size_bytes), *_congestion_control(settings)]


def _congestion_control(settings: Settings) -> list[str]:
    return ["-C", settings.congestion_control] if settings.congestion_control else []


def _client(address: str, port: int) -> list[str]:
    timeout_ms = str(CONNECT_TIMEOUT_S * 1000)
    return ["iperf3", "-c", address, "-p", str(port), "-J", "--connect-timeout", timeout_ms]


def read(stdout: bytes, stderr: bytes, exit_code: int | None) -> Report | Failure:
    """What iperf3's output says.

    The JSON's `error` is the truth, since iperf3 exits 0 with one and some versions refuse on stderr alone.

    Args:
        stdout: as received; may be empty, cut short, or no JSON.
        stderr: as received.
        exit_code: None where the program was killed before it had one.
    """
    end = f"exit code {'unknown' if exit_code is None else exit_code}{_first_line(stderr)}"
    document = _decode(stdout, end)
    if isinstance(document, Failure):
        return document
    if document.error:
        return Failure(f"iperf3: {document.error}")
    return _report(document) if exit_code == 0 else Failure(f"iperf3 ended with {end}")


def _decode(stdout: bytes, end: str) -> _Document | Failure:
    text = stdout.strip()
    first, last = text.find(b"{"), text.rfind(b"}")
    if not text:
        return Failure(f"iperf3 printed nothing, {end}")
    if first < 0:
        line = text.decode(errors="replace").splitlines()[0][:200]
        return Failure(f"iperf3 printed no JSON but {line!r}, {end}")
    try:
        # Some versions print a warning around the JSON.
        return _DECODER.decode(text[first : max(first, last) + 1])
    except msgspec.ValidationError as error:
        return Failure(f"iperf3's JSON is not of a form known here: {error}, {end}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Failure(f"iperf3's JSON is cut short after {len(stdout)} bytes, {end}")


def _first_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return f": {lines[0][:200]}" if lines else ""


def _report(document: _Document) -> Report | Failure:
    end = document.end
    sent = end.sum_sent or end.sum
    received = end.sum_received
    if received is None or not received.seconds or received.bits_per_second is None:
        return Failure("iperf3's JSON has no figures for what was received")
    if not received.bytes:
        return Failure(f"no byte reached the receiver in {received.seconds:.3g} s")
    start = document.start.test_start or _TestStart()
    udp = (start.protocol or "").upper() == "UDP"
    senders = [stream.sender for stream in end.streams if stream.sender is not None]
    # A mean of 0 us is how iperf3 says that it does not know.
    rtts = [sender.mean_rtt for sender in senders if sender.mean_rtt]
    counted = _adds_up(received, start.blksize)
    lost, total = _losses(sent, received, start.blksize, counted=counted) if udp else (None, None)
    return Report(
        version=(document.start.version or "").removeprefix("iperf ") or None,
        duration_s=received.seconds,
        sent_bps=sent.bits_per_second if sent is not None else None,
        received_bps=received.bits_per_second,
        lost_packets=lost,
        total_packets=total,
        jitter_s=received.jitter_ms / 1000 if udp and received.jitter_ms is not None else None,
        retransmits=_whole(sent.retransmits) if sent is not None and not udp else None,
        rtt_s=sum(rtts) / len(rtts) * _MICROSECOND if rtts else None,
        block_size_bytes=start.blksize,
        congestion_control=end.sender_tcp_congestion if not udp else None,
        intervals=_intervals(document.intervals),
        flags=("udp-counters",) if udp and not counted else (),
    )


def _adds_up(received: _Figures, block_bytes: int | None) -> bool:
    """Whether bytes received agree with packets less losses.

    They don't where 3.12 counts losses of the omitted seconds too, nor where a newer client misreads 3.12's server.
    """
    if received.lost_packets is None or not received.packets or not block_bytes or received.bytes is None:
        return False
    arrived = received.bytes / block_bytes
    return abs(arrived - (received.packets - received.lost_packets)) <= max(2.0, 0.01 * received.packets)


def _losses(
    sent: _Figures | None, received: _Figures, block_bytes: int | None, *, counted: bool
) -> tuple[int | None, int | None]:
    """Packets lost and sent: as counted, else reckoned from the bytes at both ends, which are right in all versions."""
    if counted:
        return _whole(received.lost_packets), _whole(received.packets)
    if sent is None or not sent.bytes or not block_bytes or received.bytes is None or received.bytes > sent.bytes:
        return None, None
    return round((sent.bytes - received.bytes) / block_bytes), round(sent.bytes / block_bytes)


def _intervals(reported: list[_Interval]) -> tuple[Interval, ...]:
    intervals = [i for i in map(_interval, reported) if i is not None]
    # iperf3's own clock starts anew after the omitted seconds.
    omitted_s = max((i.offset_s + i.duration_s for i in intervals if i.omitted), default=0.0)
    return tuple(i if i.omitted else msgspec.structs.replace(i, offset_s=i.offset_s + omitted_s) for i in intervals)


def _interval(interval: _Interval) -> Interval | None:
    total = interval.sum
    if total is None or total.start is None or not total.seconds:
        return None
    rtts = [stream.rtt for stream in interval.streams if stream.rtt]
    windows = [stream.snd_cwnd for stream in interval.streams if stream.snd_cwnd]
    receiver = total.sender is False
    return Interval(
        side="receiver" if receiver else "sender",
        offset_s=total.start,
        duration_s=total.seconds,
        omitted=total.omitted,
        bps=total.bits_per_second,
        retransmits=_whole(total.retransmits),
        rtt_s=sum(rtts) / len(rtts) * _MICROSECOND if rtts else None,
        cwnd_bytes=_whole(sum(windows)) if windows else None,
        lost_packets=_whole(total.lost_packets) if receiver else None,
        total_packets=_whole(total.packets),
    )


def _whole(figure: float | None) -> int | None:
    # iperf3 says -1 where the other end does not count.
    return round(figure) if figure is not None and figure >= 0 else None
