"""The last level of a series, the first night of which is itself an estimate. Pure.

A step's night may be mistaken by a few, a step may be none, and one may have been missed. An interval about the mean
since the night that was found knows nothing of that: it holds for a night that was given, and this one was chosen. So
all nights count at which the level may as well have begun, by the likelihood of each against the best (Siegmund,
"Confidence Sets in Change-Point Problems", International Statistical Review 56, 1988). Each has an interval of its own,
and the last level's is the union of these: it holds where the true night is among them and that one's interval holds,
which share the error (Berger and Boos, "P Values Maximized Over a Confidence Set for the Nuisance Parameter", JASA 89,
1994).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.stats.change_points.night_noise import NightValues, mean_variances, middle
from analysis.stats.change_points.partition import LEAST
from analysis.stats.change_points.step_search import Cut, KeptNights
from analysis.stats.estimates.intervals import t_quantile

_OF_NIGHT: Final = 0.25
"""The share of an interval's error that is for a true first night which is not among those that count."""

_MISSED: Final = 0.05
"""A further step that is no more probable than this by chance may be one that was missed."""

_SURELY_NOT: Final = 60.0
"""What has more against it is no start at any level of confidence."""

_FAR: Final = 3.0
"""A night so many times the noise off the level's median does not enter its mean: bad nights are all on one side."""


@dataclass(frozen=True, slots=True)
class _Start:
    """A night at which the level may have begun: the mean of so many nights since then with its standard error.

    `against`: what speaks against it, as twice a difference of log-likelihoods.
    """

    mean: float
    error: float
    nights: int
    against: float


@dataclass(frozen=True, slots=True)
class LastLevel:
    """The nights since the last step, and what was left out of them as outliers.

    `at`: the first of them. `starts`: it, and others at which the level may have begun. `detectable_effect`: the
    smallest next step found by its third night with 80 % power.
    """

    at: int
    degrees_of_freedom: float
    left_out: int
    starts: Sequence[_Start]
    detectable_effect: float | None

    @property
    def mean(self) -> float:
        """The level."""
        return self.starts[0].mean

    @property
    def error(self) -> float:
        """The standard error of `mean`, were the first night known."""
        return self.starts[0].error

    @property
    def nights(self) -> int:
        """How many of them make the mean."""
        return self.starts[0].nights

    def interval(self, error: float) -> tuple[float, float]:
        """The interval of the level, which misses it with this probability at most."""
        most = -2 * math.log(_OF_NIGHT * error / 2)
        limit = t_quantile(1 - (1 - _OF_NIGHT) * error / 2, self.degrees_of_freedom)
        possible = [start for start in self.starts if start.against <= most]
        return (
            min(start.mean - limit * start.error for start in possible),
            max(start.mean + limit * start.error for start in possible),
        )


def possible_starts(nights: KeptNights, cuts: Sequence[Cut], further: Sequence[Cut], variance: float) -> list[_Start]:
    """The nights at which the last level may have begun, the one that was found first.

    `further`: the best place for one more step in the last level, if there is any. `variance`: of a night.
    """
    end, begins = len(nights.values), [0, *(cut.index for cut in cuts)]
    against = {begins[-1]: 0.0}
    for place, begin in enumerate(begins[:-1]):  # these steps are none
        chance = min(cut.chance for cut in cuts[place:])
        against[begin] = -2 * math.log(max(chance, 1e-300) / 2)
    searched = begins[-2:-1] + [begins[-1]] * any(cut.chance < _MISSED for cut in further)
    for begin in searched:
        for at, excess in _other_nights(nights, begin, variance):
            against[at] = min(excess, against.get(at, math.inf))
    of_means = mean_variances(end, nights.most_correlation)
    return [
        _start(nights.values[at:], variance, of_means, excess)
        for at, excess in against.items()
        if excess <= _SURELY_NOT
    ]


def _start(values: NightValues, variance: float, of_means: NightValues, against: float) -> _Start:
    """The mean of a level's nights without those that are far off: a few bad nights move it by more than its error."""
    near = values[np.abs(values - middle(values)) <= _FAR * math.sqrt(variance)]
    near = near if len(near) >= LEAST else values
    return _Start(float(near.mean()), math.sqrt(variance * float(of_means[len(near)])), len(near), against)


def _other_nights(nights: KeptNights, begin: int, variance: float) -> Iterable[tuple[int, float]]:
    """Each night that may split the series since this one, and what speaks against it in comparison with the best."""
    values = nights.values[begin:]
    count = len(values)
    if count < 2 * LEAST:
        return []
    sums: NightValues = np.cumsum(values)
    before = np.arange(LEAST, count - LEAST + 1)
    after = count - before
    difference = (sums[-1] - sums[before - 1]) / after - sums[before - 1] / before
    gain = difference**2 * before * after / count
    # nights that are alike count less
    unit = variance * count * float(mean_variances(count, nights.most_correlation)[count])
    return zip((begin + before).tolist(), ((gain.max() - gain) / unit).tolist(), strict=True)
