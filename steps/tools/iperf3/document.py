"""iperf3's JSON as far as it is used, with the bounds of every number; 3.1 to 3.22. Pure."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from steps.tools import bounds
from steps.tools.bounds import BitRate, Count, Microseconds, Milliseconds, Seconds, SignedCount, Whole
from steps.tools.failure import Failure


class IperfFigures(msgspec.Struct):
    """A stream or a sum, in an interval or at the end; iperf3 leaves out what does not apply."""

    socket: int | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    seconds: Seconds | None = None
    bytes: Count | None = None
    bits_per_second: BitRate | None = None
    retransmits: SignedCount | None = None
    rtt: Microseconds | None = None
    mean_rtt: Microseconds | None = None
    snd_cwnd: SignedCount | None = None
    jitter_ms: Milliseconds | None = None
    lost_packets: SignedCount | None = None
    packets: SignedCount | None = None
    omitted: bool = False
    sender: bool | None = None

    @property
    def adds_up(self) -> bool:
        """Whether the rate is the bytes over the seconds, where all three are given."""
        if self.bytes is None or not self.seconds or self.bits_per_second is None:
            return True
        reported = self.bits_per_second * self.seconds / 8
        return abs(reported - self.bytes) <= 0.01 * max(reported, self.bytes)


class ReportedInterval(msgspec.Struct):
    """One of iperf3's reporting intervals. The second sum is of the way back, where both are measured at once."""

    sum: IperfFigures | None = None
    sum_bidir_reverse: IperfFigures | None = None
    streams: list[IperfFigures] = []


class Stream(msgspec.Struct):
    """One stream at the end: TCP has sender and receiver; UDP one object, its bytes the sender's."""

    sender: IperfFigures | None = None
    receiver: IperfFigures | None = None
    udp: IperfFigures | None = None


class CpuShares(msgspec.Struct):
    """User and system time of the two programs, in per cent of one core over their own wall time."""

    host_user: float | None = None
    host_system: float | None = None
    remote_user: float | None = None
    remote_system: float | None = None


class End(msgspec.Struct):
    """The end of the test. UDP's `sum` is the sender's rate; 3.12 to 3.22 have sums of both ends beside it.

    Those of `bidir_reverse` are of the way back, where both are measured at once.
    """

    streams: list[Stream] = []
    sum: IperfFigures | None = None
    sum_sent: IperfFigures | None = None
    sum_received: IperfFigures | None = None
    sum_sent_bidir_reverse: IperfFigures | None = None
    sum_received_bidir_reverse: IperfFigures | None = None
    sender_tcp_congestion: str | None = None
    cpu_utilization_percent: CpuShares | None = None


class TestStart(msgspec.Struct):
    """The test. `bytes` and `blocks`: after how many it ends; `duration` is 0 then."""

    protocol: str | None = None
    num_streams: Whole | None = None
    blksize: Whole | None = None
    omit: Whole | None = None
    duration: Whole | None = None
    bytes: Whole | None = None
    blocks: Whole | None = None
    reverse: Whole | None = None
    bidir: Whole | None = None
    target_bitrate: Whole | None = None


class Timestamp(msgspec.Struct):
    """When the test began, by the client's clock: seconds since 1970."""

    timesecs: Annotated[float, Meta(ge=0, le=7e9)] | None = None


class Start(msgspec.Struct):
    """The beginning of the document. `cookie`: of the test, the same at both ends. `target_bitrate`: of 3.7 to 3.9."""

    version: str | None = None
    system_info: str | None = None
    timestamp: Timestamp | None = None
    cookie: str | None = None
    target_bitrate: Whole | None = None
    test_start: TestStart | None = None


class IperfDocument(msgspec.Struct):
    """The whole document."""

    start: Start = msgspec.field(default_factory=Start)
    intervals: list[ReportedInterval] = []
    end: End = msgspec.field(default_factory=End)
    error: str | None = None


_DECODER: Final = msgspec.json.Decoder(IperfDocument)


def parse(stdout: bytes) -> IperfDocument | Failure:
    """The document in what iperf3 printed, wherever that is kept."""
    text = stdout.strip()
    first, last = text.find(b"{"), text.rfind(b"}")
    if not text:
        return Failure("iperf3 printed nothing")
    if first < 0:
        line = text.decode(errors="replace").splitlines()[0][:200]
        return Failure(f"iperf3 printed no JSON but {line!r}")
    # Some versions print a warning around the JSON.
    return bounds.decode(_DECODER, text[first : max(first, last) + 1], "iperf3", len(stdout))
