"""iperf3's reporting intervals, on one clock. Pure."""

from typing import Final

import msgspec

from steps.tools.iperf3.document import IperfFigures, ReportedInterval

MICROSECOND: Final = 1e-6
_SHORTEST_INTERVAL_S: Final = 0.01


class MeasuredInterval(msgspec.Struct, frozen=True, kw_only=True):
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


def read(reported: list[ReportedInterval], omit_s: int) -> tuple[MeasuredInterval, ...]:
    """The intervals of a document, those of so many seconds of warm-up first."""
    intervals = [i for i in map(_interval, reported) if i is not None]
    # iperf3's own clock restarts after the omitted seconds.
    omitted_s = max([float(omit_s), *(i.offset_s + i.duration_s for i in intervals if i.omitted)])
    return tuple(i if i.omitted else msgspec.structs.replace(i, offset_s=i.offset_s + omitted_s) for i in intervals)


def _interval(interval: ReportedInterval) -> MeasuredInterval | None:
    total = interval.sum
    if total is None or total.start is None or not total.seconds:
        return None
    start_s, duration_s, bps = _span(total)
    rtts = [stream.rtt for stream in interval.streams if stream.rtt is not None and stream.rtt > 0]
    windows = [stream.snd_cwnd for stream in interval.streams if stream.snd_cwnd is not None and stream.snd_cwnd > 0]
    receiver = total.sender is False
    return MeasuredInterval(
        side="receiver" if receiver else "sender",
        offset_s=start_s,
        duration_s=duration_s,
        omitted=total.omitted,
        bps=bps,
        retransmits=whole(total.retransmits),
        rtt_s=sum(rtts) / len(rtts) * MICROSECOND if rtts else None,
        cwnd_bytes=whole(sum(windows)) if windows else None,
        lost_packets=whole(total.lost_packets) if receiver else None,
        total_packets=whole(total.packets),
    )


def _span(total: IperfFigures) -> tuple[float, float, float | None]:
    """Start and duration of an interval in seconds, and its bits per second.

    The first interval after the warm-up often has the bytes since the warm-up, but the seconds since the interval
    before, so that its rate is too low. Its end, by the clock that restarted, is its real duration.
    """
    assert total.start is not None
    assert total.seconds
    reported_late = not total.omitted and total.end is not None and total.seconds > 1.1 * total.end
    if reported_late and total.end is not None and total.end > _SHORTEST_INTERVAL_S and total.bytes is not None:
        return 0.0, total.end, total.bytes * 8 / total.end
    return total.start, total.seconds, total.bits_per_second


def whole(figure: float | None) -> int | None:
    """A count for the tables; None: there is none."""
    # iperf3 reports -1 where the other end does not count.
    return round(figure) if figure is not None and figure >= 0 else None
