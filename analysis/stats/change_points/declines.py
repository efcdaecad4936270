"""Slow declines: the last nights against the first ones of the history, where no single night is the step. Pure.

A figure that loses 0.3 % a night has no step to find, and each small step that the search makes of it may be below the
limit. The last week against the first fortnight adds them up. It is judged anew each night, so that what counts is in
which night the loss first reached so many times the limit: that is news for a week, and then it is not.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from analysis.stats.change_points.night_noise import NightValues
from analysis.stats.change_points.step_search import RECENT, KeptNights

FIRST: Final = 14
LAST: Final = 7
_BETWEEN: Final = 7
"""Nights at least between the first and the last ones: with fewer it is a step's business."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The last nights against the first ones, as of each night that has enough before it; the last is tonight.

    `since`: the first night after the first ones. `before`: the first ones' mean; `differences`: from it, night by
    night; `error`: the standard error of each, with `degrees_of_freedom`. `recent`: how many of the differences are of
    the last seven nights.
    """

    since: int
    before: float
    differences: NightValues
    error: float
    degrees_of_freedom: float
    recent: int

    @property
    def p(self) -> NightValues:
        """One-sided, in the direction of each difference."""
        tail = special.stdtr(self.degrees_of_freedom, -np.abs(self.differences) / self.error)
        return np.asarray(tail, dtype=np.float64)

    def loss(self, *, higher_is_better: bool, level: float) -> NightValues:
        """How much worse it is as of each night, where that is significant at this level; elsewhere 0."""
        worse = -self.differences if higher_is_better else self.differences
        return np.asarray(np.where((worse > 0) & (self.p < level), worse, 0.0), dtype=np.float64)


def find_drift(nights: KeptNights, variance: float, freedom: float) -> Drift | None:
    """The drift of a series with this variance of a night; None for too few nights."""
    count = len(nights.values)
    if count < FIRST + _BETWEEN + LAST:
        return None
    sums = np.concatenate([[0.0], np.cumsum(nights.values)])
    ends = np.arange(FIRST + _BETWEEN + LAST, count + 1)
    before = float(sums[FIRST]) / FIRST
    differences = (sums[ends] - sums[ends - LAST]) / LAST - before
    error = math.sqrt(variance * float(nights.mean_variances[FIRST] + nights.mean_variances[LAST]))
    recent = int((nights.total - nights.nights[ends - 1] <= RECENT).sum())
    return Drift(int(nights.nights[FIRST]), before, differences, error, freedom, recent)


def is_news(loss: NightValues, limit: float, recent: int) -> bool:
    """Whether one of the recent nights is the first at which so many times the limit were lost."""
    times = np.floor(loss / limit)
    earlier = times[: len(times) - recent]
    return bool(times[len(times) - recent :].max(initial=0.0) > earlier.max(initial=0.0))
