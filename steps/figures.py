"""A trial's raw attempt to its figures, or to the sentence that says why it has none. Pure."""

from typing import Final

import msgspec

from steps import iperf3
from steps.iperf3 import Failure, Report
from steps.model import Trial
from steps.raw import Attempt

_SHORTEST_SHARE: Final = 0.9
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
    report = of_iperf3(attempt)
    if isinstance(report, Report) and report.duration_s < _SHORTEST_SHARE * trial.duration_s:
        return Failure(f"iperf3 measured {report.duration_s:.3g} s of the {trial.duration_s} s planned")
    return report


def of_iperf3(attempt: Attempt) -> Report | Failure:
    """The figures of an attempt by iperf3, however long it was meant to be."""
    if attempt.error is not None:
        return Failure(attempt.error)
    return iperf3.read(attempt.stdout.encode(), attempt.stderr.encode(), attempt.exit_code)


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
