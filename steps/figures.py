"""A trial's raw attempt to its figures, or to the sentence that says why it has none. Pure."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from steps import iperf3
from steps.iperf3 import Failure, Report
from steps.model import Trial
from steps.raw import Attempt
from steps.reports import bounds
from steps.reports.bounds import Rate, Seconds
from steps.reports.iperf3_plan import Asked

_GIGA: Final = 1e9
_MICROSECOND: Final = 1e-6


class Connects(msgspec.Struct, frozen=True):
    """What the connect-latency probe measured; see `steps.connect.Probed`."""

    connects_per_s: Rate | None
    p50_s: Seconds | None
    p99_s: Seconds | None
    count: Annotated[int, Meta(ge=0, le=2**53)]
    errors: Annotated[int, Meta(ge=0, le=2**53)]
    error: str | None
    duration_s: Seconds


_CONNECTS: Final = msgspec.json.Decoder(Connects)
_PROBE: Final = "the connect probe"


def of(trial: Trial, attempt: Attempt) -> Report | Connects | Failure:
    """The figures of an attempt at a trial."""
    if attempt.error is not None:
        return Failure(attempt.error)
    if trial.protocol == "connect":
        return _connects(attempt)
    return _iperf3(attempt, iperf3.asked_for(trial, attempt.argv, round(attempt.window_offset_s)))


def of_canary(attempt: Attempt) -> Report | Failure:
    """The figures of an attempt at a canary.

    An older one was asked for a number of bytes, of which a newer iperf3 makes no rate; see `iperf3.CANARY_S`.
    """
    if attempt.error is not None:
        return Failure(attempt.error)
    return _iperf3(attempt, iperf3.asked_for_canary(attempt.argv))


def _iperf3(attempt: Attempt, asked: Asked) -> Report | Failure:
    return iperf3.read(_bytes(attempt.stdout), _bytes(attempt.stderr), attempt.exit_code, asked)


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


def _connects(attempt: Attempt) -> Connects | Failure:
    said = bounds.one_line(attempt.stderr.strip().rpartition("\n")[2])
    end = f"exit code {attempt.exit_code}{': ' + said if said else ''}"
    text = _bytes(attempt.stdout)
    if not text.strip():
        return Failure(f"{_PROBE} printed no figures, {end}")
    connects = bounds.decode(_CONNECTS, text, _PROBE, len(text))
    if isinstance(connects, Failure):
        return Failure(f"{connects.reason}, {end}")
    if attempt.exit_code != 0:
        return Failure(f"{_PROBE} ended with {end}")
    if connects.count == 0:
        return Failure(f"none of {connects.errors} connects succeeded: {bounds.one_line(connects.error or str(None))}")
    return _consistent(connects)


def _consistent(connects: Connects) -> Connects | Failure:
    """The figures, where they agree with each other."""
    rate, p50_s, p99_s = connects.connects_per_s, connects.p50_s, connects.p99_s
    if rate is None or p50_s is None or p99_s is None or not connects.duration_s:
        return Failure(f"{_PROBE} counted {connects.count} connects and gives no figures for them")
    expected = connects.count / connects.duration_s
    if abs(rate - expected) > 0.01 * max(rate, expected) or p50_s > p99_s:
        return Failure(f"{_PROBE}'s figures contradict each other")
    return connects


def sentence(figures: Report | Connects | Failure) -> str:
    """The telling figure in a few words, such as `5.21 Gbit/s`."""
    if isinstance(figures, Failure):
        return f"failed: {figures.reason}"
    if isinstance(figures, Connects):
        return f"connect in {_microseconds(figures.p50_s)}, 99 % within {_microseconds(figures.p99_s)}"
    lost = ""
    if figures.lost_packets is not None and figures.total_packets:
        lost = f", {figures.lost_packets / figures.total_packets:.1%} lost"
    return f"{figures.received_bps / _GIGA:.3g} Gbit/s{lost}"


def _microseconds(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else f"{seconds / _MICROSECOND:.3g} us"
