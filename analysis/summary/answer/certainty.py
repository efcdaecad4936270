"""How sure a run's answer is, and how many more rounds would settle what it leaves undecided. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from analysis import formatting
from analysis.domain import FIRST_LOOK
from analysis.stats.verdicts.comparison import Comparison

MOST_ROUNDS: Final = 40
"""More rounds than this are not advised: drift, noise or a difference as large as the margin is better looked into."""

_ASSURANCE: Final = 1.28
"""The half-width must shrink further than to the estimate's distance, since the estimate will move: by 0.84 standard
errors for a chance of 80 %, of about 3 that make up a simultaneous half-width."""


NO_VISITS: Final = "The rounds of its visits are not known"
"""Of runs that another tool measured, whose files name no visits."""


@dataclass(frozen=True, slots=True)
class Certainty:
    """What the answer rests on.

    Attributes:
        rounds: that were measured, all of their visits.
        most_rounds: that were planned; 0 where the rounds of the visits are not known.
        measuring_s: from the first switch to the end of the last trial; None: unknown.
        stopped: why it stopped, as a sentence; empty: not recorded.
        confidence: what the intervals claim together, as a sentence.
        undecided: how many comparisons leave a figure of the table undecided.
        unsettled: how many of them no reasonable number of rounds would settle.
        more_rounds: that would probably settle the others; 0: there are none.
        more_s: how long these take; None: unknown.
        command: that measures them; empty: there are none.
    """

    rounds: int
    most_rounds: int
    measuring_s: float | None
    stopped: str
    confidence: str
    undecided: int
    unsettled: int
    more_rounds: int
    more_s: float | None
    command: str = ""

    @property
    def basis(self) -> str:
        """How much was measured, and why no more: `4 of at most 8 rounds in 12 min: everything was decided.`."""
        if not self.most_rounds:
            return formatting.sentences(NO_VISITS, self.stopped or None)
        most = formatting.count(self.most_rounds, "round")
        planned = self.most_rounds > self.rounds
        rounds = f"{self.rounds} of at most {most}" if planned else formatting.count(self.rounds, "round")
        lasted = f" in {formatting.duration(self.measuring_s)}" if self.measuring_s is not None else ""
        return formatting.sentences(f"{rounds}{lasted}", self.stopped or None, self.confidence or None)

    @property
    def advice(self) -> str:
        """What would settle the undecided; empty where nothing is undecided."""
        if not self.undecided:
            return ""
        if not self.most_rounds:
            return f"{self._open}: a difference can't be told from chance without visits."
        settled = self.undecided - self.unsettled
        if not settled:
            return f"{self._open}; not even {MOST_ROUNDS} more rounds would probably settle {_them(self.undecided)}."
        which = _them(self.undecided) if not self.unsettled else f"{settled} of them"
        lasting = f", about {_about(self.more_s)}," if self.more_s else ""
        more = (
            f"{self._open}; {formatting.count(self.more_rounds, 'more round')}{lasting} would probably settle {which}"
        )
        return f"{more}." if not self.unsettled else f"{more}, and not even {MOST_ROUNDS} the rest."

    @property
    def _open(self) -> str:
        return f"{formatting.count(self.undecided, 'comparison')} {'is' if self.undecided == 1 else 'are'} undecided"


def rounds_needed(comparison: Comparison) -> int | None:
    """How many more rounds would probably decide a comparison, if its estimate and its noise stay.

    It is decided once its interval leaves zero out, or lies inside the margin: whichever comes first. Half-widths are
    taken to shrink by the root of the number of rounds; that they shrink a little faster, since more rounds also tell
    the noise better, is left out.

    Returns:
        At least 1; None where more than `MOST_ROUNDS` would be needed, no number would do, or a side was not measured.
    """
    if comparison.baseline_value is None or comparison.value is None:
        return None
    low, high, change = comparison.low, comparison.high, comparison.change
    if low is None or high is None or change is None:
        # without an interval after so many rounds it is not their number that is missing: the baseline measured zero
        return FIRST_LOOK - comparison.rounds if comparison.rounds < FIRST_LOOK else None
    margin = comparison.margin_ratio
    if comparison.scale == "ratio":
        if low <= -1 or not math.isfinite(high):
            return None
        low, high, change, margin = (math.log1p(value) for value in (low, high, change, margin))
    wanted = max(abs(change), margin - abs(change))
    half = max(high - change, change - low)
    if wanted <= 0 or half > 1e3 * wanted:
        return None
    more = math.ceil(comparison.rounds * ((_ASSURANCE * half / wanted) ** 2 - 1))
    return None if more > MOST_ROUNDS else max(1, more)


def rounds_to_decide(undecided: Iterable[Comparison]) -> tuple[int, int]:
    """How many more rounds would settle all that a reasonable number settles, and how many comparisons none would."""
    needs = [rounds_needed(comparison) for comparison in undecided]
    return max((need for need in needs if need is not None), default=0), needs.count(None)


def _them(number: int) -> str:
    return "it" if number == 1 else "them"


def _about(seconds: float) -> str:
    """A length of time without false precision: in minutes, rounded up."""
    minutes = max(1, math.ceil(seconds / 60))
    return formatting.count(minutes, "minute") if minutes < 120 else formatting.duration(60 * minutes)  # noqa: PLR2004
