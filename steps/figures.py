"""A trial's raw attempt to its figures, or to the sentence that says why it has none. Pure."""

from typing import Final

import msgspec

from steps import iperf3
from steps.iperf3 import Failure, Report
from steps.model import Trial
from steps.raw import Attempt
from steps.reports.iperf3_plan import Asked

_GIGA: Final = 1e9
_MICROSECOND: Final = 1e-6


class Connects(msgspec.Struct, frozen=True):
    """What the connect-latency probe measured; see `steps.connect.Probed`."""

    connects_per_s: float | None
    p50_s: float | None
    p99_s: float | None
    count: int
    errors: int
    error: str | None
    duration_s: float


_CONNECTS: Final = msgspec.json.Decoder(Connects)


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
    try:
        connects = _CONNECTS.decode(attempt.stdout.encode())
    except msgspec.DecodeError:
        said = attempt.stderr.strip().splitlines()
        return Failure(
            f"the connect probe printed no figures, exit code {attempt.exit_code}{': ' + said[-1] if said else ''}"
        )
    if connects.count == 0:
        return Failure(f"none of {connects.errors} connects succeeded: {connects.error}")
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
