"""How far nights scatter about their level, and how alike consecutive nights are: of each series, and of all together.

A history of ten nights says little of its own noise, and a test that takes the noise from it alone finds next to
nothing. The other series of the run know more: variances are moderated (`estimates.moderation` has the method and
its sources), and correlations are drawn towards the median of all. How much is borrowed follows from how alike the
series prove. Only series of one group are compared, such as those of one metric.

All estimates withstand steps and outliers: the scale is the median absolute difference between consecutive nights
(Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", JASA 88, 1993), and the correlation leaves out
differences that are far beyond their scale.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.stats.estimates.moderation import freedom_of, log_variance, trigamma

NightValues = NDArray[np.float64]

FLOOR: Final = 1e-3
"""The least noise assumed, since equal figures occur and nothing is measured to better than a thousandth."""

DIFFERENCE_FREEDOM: Final = 0.25
"""Degrees of freedom of `night_sd` squared for each night: 37 % of those of a variance, as for each median absolute
deviation, times two thirds, since consecutive differences share a night."""

_TRIM: Final = 2.5
"""Differences beyond this many times their scale are steps or outliers, and are left out of the correlation."""

_ENOUGH_TO_CORRELATE: Final = 10
_ENOUGH_TO_DIFFER: Final = 30
"""In shorter histories a step looks like correlation: the median of a group's series counts for each of them."""

_MOST_CORRELATION: Final = 0.9
_SHARE_VARIANCE: Final = 0.2
"""The variance of `_near_share`, times the number of nights: simulated, for correlations from 0 to 0.7."""

_MEDIAN_VARIANCE: Final = math.pi / 2
"""The variance of a median of many, by that of their mean."""

GAUSSIAN: Final = 1.4826
"""From a median absolute deviation of a normal distribution to its standard deviation."""

_INDEPENDENT_SHARE: Final = 0.67
"""The series of a run share nights and a baseline: so many of them count as independent."""

_BOUND: Final = 0.25
"""How unlike the series' variances are is taken at the bound that holds in 1 - 0.25 of cases."""


def middle(values: NightValues) -> float:
    """The median. NumPy's takes ten times as long for so few values."""
    return float(median(values.tolist()))


def night_sd(values: Sequence[float] | NightValues, correlation: float = 0.0, floor: float = FLOOR) -> float:
    """The standard deviation of a night about its level, from two nights or more."""
    differences = np.abs(np.diff(np.asarray(values, dtype=float)))
    return max(GAUSSIAN * middle(differences) / math.sqrt(2 * (1 - correlation)), floor)


def correlations(
    series: Sequence[NightValues], groups: Sequence[Hashable], standard_errors: float = 0.0
) -> list[float]:
    """The correlation of consecutive nights of each series, 0 to 0.9; 0 where a group has only short series.

    As of an autoregressive process of the first order, whose differences to the next night are small against those over
    two and three nights. For a bound so many standard errors are added.
    """
    shares = {place: _near_share(one) for place, one in enumerate(series) if len(one) >= _ENOUGH_TO_CORRELATE}
    known: dict[Hashable, list[int]] = {}
    for place in shares:
        known.setdefault(groups[place], []).append(place)
    middles = {group: median([shares[place] for place in places]) for group, places in known.items()}
    sampling = {place: _SHARE_VARIANCE / len(series[place]) for place in shares}
    long = [place for place in shares if len(series[place]) >= _ENOUGH_TO_DIFFER]
    spare = len(long) - len({groups[place] for place in long})
    off = sum((shares[place] - middles[groups[place]]) ** 2 for place in long)
    unlike = max(off / spare - sum(sampling[place] for place in long) / len(long), 0.0) if spare else 0.0
    found = []
    for place, group in enumerate(groups):
        share = middles.get(group, 0.5)
        variance = (
            _MEDIAN_VARIANCE * fmean(sampling[other] for other in known[group]) / len(known[group])
            if group in known
            else 0.0
        )
        if place in long:
            weight = unlike / (unlike + sampling[place])
            share += weight * (shares[place] - share)
            variance = max(variance, weight * sampling[place])
        found.append(_correlation(share - standard_errors * math.sqrt(variance)))
    return found


def _near_share(values: NightValues) -> float:
    """The squared differences to the next night as a share of these and those over more nights; 0.5: uncorrelated."""
    near, *far = (_trimmed_square(np.abs(values[lag:] - values[:-lag])) for lag in (1, 2, 3))
    distant = float(np.mean(far))
    return near / (near + distant) if near + distant > FLOOR**2 else 0.5


def _correlation(share: float) -> float:
    """From the share: near / far = (1 - r) / (1 - (r^2 + r^3) / 2), solved for r."""
    return min(max(math.sqrt(max(2 / max(share, FLOOR) - 3, 0.0)) - 1, 0.0), _MOST_CORRELATION)


def _trimmed_square(distances: NightValues) -> float:
    bound = max(_TRIM * GAUSSIAN * middle(distances), FLOOR)
    return float(np.mean(distances[distances <= bound] ** 2))


def mean_variances(most: int, correlation: float) -> NightValues:
    """The variances of the means of 0 to `most` consecutive nights, as shares of a night's; of no night: infinite."""
    nights = np.arange(most + 1, dtype=float)
    powers: NightValues = correlation ** nights[1:]
    sums = np.concatenate([[0.0, 0.0], np.cumsum(powers)[:-1]])
    weighted = np.concatenate([[0.0, 0.0], np.cumsum(nights[1:] * powers)[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NightValues = (1 + 2 * (sums - weighted / nights)) / nights
    found[0] = math.inf
    return found


@dataclass(frozen=True, slots=True)
class Prior:
    """What the other series say of a series' variance: as so many degrees of freedom would."""

    variance: float
    degrees_of_freedom: float

    def moderate(self, squares: NightValues, own_freedom: float) -> tuple[NightValues, float]:
        """The moderated variances of sums of squares with so many degrees of freedom, and theirs in all."""
        freedom = self.degrees_of_freedom + own_freedom
        return (self.degrees_of_freedom * self.variance + squares) / freedom, freedom


def priors(variances: Sequence[float], freedoms: Sequence[float], groups: Sequence[Hashable]) -> list[Prior]:
    """For each series what its group says; how unlike variances are inside groups is estimated over all groups."""
    members: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    logs = [log_variance(variance, freedom) for variance, freedom in zip(variances, freedoms, strict=True)]
    means = {group: float(np.mean([logs[place] for place in places])) for group, places in members.items()}
    spare = len(logs) - len(members)
    if not spare:
        return [Prior(0.0, 0.0)] * len(logs)
    off = sum((log - means[group]) ** 2 for log, group in zip(logs, groups, strict=True))
    noise = float(np.mean([trigamma(freedom / 2) for freedom in freedoms]))
    independent = max(1.0, _INDEPENDENT_SHARE * spare)
    upper = off / spare * independent / (2 * float(special.gammaincinv(independent / 2, _BOUND)))
    unlike = max(upper - noise, 0.0)
    found = {}
    for group, places in members.items():
        alone = len(places) == 1
        freedom = 0.0 if alone else freedom_of(unlike + noise / max(1.0, _INDEPENDENT_SHARE * len(places)))
        found[group] = Prior(math.exp(means[group]), freedom)
    return [found[group] for group in groups]
