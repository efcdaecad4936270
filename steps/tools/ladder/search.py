"""The search for the highest rate at which loss stays within a bound. Pure.

The binary search of RFC 2544, section 26.1, on a logarithmic scale, with a bound in the place of no loss at all. Loss
is noisy, so a rate that barely failed is probed again, and a rate counts as passed by the majority of its probes. The
first probe has no limit: it says what the sender can offer, beyond which nothing of the path is known.

The constants were chosen by simulation: loss grows with the 2.5th to 4th power of the rate and scatters by a factor of
2.7 from probe to probe, about as it does on a machine of two cores. Of 3,000 searches 63 to 76 % end exact, after 8
probes on average; to 10 %, beginning at 0.9 of what arrived and probing up to ten times the bound again, up to 3 % did
with seven probes, and 51 to 68 % with twelve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RESOLUTION_RATIO: Final = 0.2
"""The search ends where the lowest rate that failed is at most so much above the highest that passed."""

PROBES: Final = 9
"""At most, which find a rate to the resolution where it is at least a third of what arrives without a limit."""

CLEAR: Final = 3
"""A loss of so many times the bound is not probed again."""

OFFERED_RATIO: Final = 0.95
"""A sender that sends less than this share of the rate can't offer it."""

_CONFIRMED: Final = 2
_FIRST_RATIO: Final = 0.7
_LEAST_RATIO: Final = 1 / 256


@dataclass(frozen=True, slots=True)
class Probe:
    """One test at a rate. `offered_bps`: as requested; None: without a limit. Rates are of payload."""

    offered_bps: float | None
    sent_bps: float
    received_bps: float
    sent_packets: int
    lost_packets: int
    duration_s: float

    @property
    def loss_ratio(self) -> float:
        """Datagrams lost, of those sent."""
        return self.lost_packets / self.sent_packets if self.sent_packets else 1.0

    @property
    def fell_short(self) -> bool:
        """Whether the sender could not offer the rate."""
        return self.offered_bps is not None and self.sent_bps < OFFERED_RATIO * self.offered_bps


@dataclass(frozen=True, slots=True)
class LadderResult:
    """The outcome of a search.

    Attributes:
        probes: at the highest rate that passed.
        most_sent_bps: the highest rate that the sender reached.
        is_sender_limited: the sender could not offer more, so the path may carry more.
        is_exact: it passed twice, and a rate not much above it failed.
    """

    probes: tuple[Probe, ...]
    most_sent_bps: float
    is_sender_limited: bool
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """The next rate to probe; None: without a limit."""

    bps: float | None


def next_offer(probes: Sequence[Probe], bound: float) -> Offer | None:
    """The next rate to probe; None: the search has ended."""
    if not probes or len(probes) >= PROBES:
        return None if probes else Offer(None)
    for offered in dict.fromkeys(probe.offered_bps for probe in probes):
        if _passed(probes, offered, bound) is None:
            return Offer(offered)
    passed, failed = _bracket(probes, bound)
    if failed is not None:
        if passed is None:
            return _below(probes, failed)
        if failed > (1 + RESOLUTION_RATIO) * passed and not _fell_short(probes, passed):
            return Offer((passed * failed) ** 0.5)
    return Offer(passed) if _passes(probes, passed, bound) < _CONFIRMED else None


def result(probes: Sequence[Probe], bound: float) -> LadderResult | None:
    """What the probes found; None: no rate passed."""
    if not probes:
        return None
    passed, failed = _bracket(probes, bound)
    if passed is None and failed is not None:
        return None
    at = tuple(probe for probe in probes if probe.offered_bps == passed)
    most_sent = max(probe.sent_bps for probe in probes)
    limited = failed is None or any(probe.fell_short for probe in at)
    confirmed = _passes(probes, passed, bound) >= _CONFIRMED
    narrow = limited or (passed is not None and failed is not None and failed <= (1 + RESOLUTION_RATIO) * passed)
    return LadderResult(at, most_sent, is_sender_limited=limited, is_exact=confirmed and narrow)


def _bracket(probes: Sequence[Probe], bound: float) -> tuple[float | None, float | None]:
    """The highest rate that passed below the lowest that failed, and that one.

    Without a failed rate the sender's own passed, which has no number. A rate that passed above one that failed counts
    for nothing: RFC 2544 takes the loss to grow with the rate.
    """
    verdicts = {probe.offered_bps: _passed(probes, probe.offered_bps, bound) for probe in probes}
    if verdicts[None]:
        return None, None
    failed = min([probes[0].sent_bps, *(bps for bps, good in verdicts.items() if bps is not None and good is False)])
    good = [bps for bps, good in verdicts.items() if bps is not None and good and bps < failed]
    return max(good, default=None), failed


def _passes(probes: Sequence[Probe], offered: float | None, bound: float) -> int:
    return sum(probe.offered_bps == offered and probe.loss_ratio <= bound for probe in probes)


def _passed(probes: Sequence[Probe], offered: float | None, bound: float) -> bool | None:
    """Whether a rate passed by most of its probes; None: it has to be probed again."""
    losses = [probe.loss_ratio for probe in probes if probe.offered_bps == offered]
    good = sum(loss <= bound for loss in losses)
    if 2 * good == len(losses) or (not good and len(losses) == 1 and losses[0] <= CLEAR * bound):
        return None
    return 2 * good > len(losses)


def _fell_short(probes: Sequence[Probe], offered: float) -> bool:
    return any(probe.fell_short for probe in probes if probe.offered_bps == offered)


def _below(probes: Sequence[Probe], failed: float) -> Offer | None:
    """The next rate where none has passed: below what arrived without a limit, then half of the lowest that failed."""
    arrived = probes[0].received_bps
    if all(probe.offered_bps is None for probe in probes):
        return Offer(_FIRST_RATIO * arrived)
    return Offer(failed / 2) if failed / 2 >= _LEAST_RATIO * arrived else None
