"""Change points of the series of a run, one value for each night; pure functions.

Values are logarithms, or points, so that a change of level adds a constant.

- **Noise** (`night_noise`): about the levels, robust, and moderated by the run's other series, so that a
  short history can show a change, too. Consecutive nights tend to be alike, and drift must not pass for steps, so their
  correlation is estimated, too.
- **Outliers** (`partition`) are left out.
- **Steps**: the night is searched that splits a level best, by a t-test with the noise of all nights about their
  levels. Its p-value is that of the largest of all these tests (`scan`). While one is found, the search
  goes on inside the two parts. Where none is, a part between two nights is searched that is off the nights on both
  sides, for a change that was undone again shows in neither half.
- **Suspicion**: the last nights, up to four, against the nights of the last level. One night may be an outlier and four
  may be chance, so a suspicion is reported as one.

No library fits. `ruptures` (1.1.10) can't be installed on Python 3.14, where all other dependencies can, and has no
p-values. `apache-otava` (0.8) pins numpy 2.2, depends on a BigQuery client, and tests each series alone
(`make bench-changes` compares).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import special

from analysis.stats.change_points import scan
from analysis.stats.change_points.declines import Drift, find_drift
from analysis.stats.change_points.last_level import LastLevel, possible_starts
from analysis.stats.change_points.night_noise import (
    DIFFERENCE_FREEDOM,
    FLOOR,
    NightValues,
    Prior,
    correlations,
    night_sd,
    priors,
)
from analysis.stats.change_points.partition import LEAST, without_outliers
from analysis.stats.change_points.step_search import OLDER_ERROR, RECENT, Cut, KeptNights, search
from analysis.stats.estimates.intervals import smallest_effect, t_quantile

LONGEST_SUSPICION: Final = 4
_LEAST_TO_SUSPECT: Final = 4
"""Fewer nights of a level are too few to suspect the next ones."""

SURE_OF_CORRELATION: Final = 1.28
"""The interval of a level takes nights to be as alike as they are in nine of ten cases at most, by standard errors."""

_ONE_NIGHTS_SHARE: Final = 3.0
"""In units of the noise: what one night adds at most to a suspicion of several, lest it be that of one bad night."""


@dataclass(frozen=True, slots=True)
class NightSeries:
    """A series to be searched, one value for each night in the order of time.

    `floor`: the least noise to assume, such as the standard error of a night's mean over its visits. `group`: series of
    one group are compared in their noise, such as those of one metric.
    """

    values: NightValues
    floor: float = FLOOR
    group: Hashable = None


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """One level to the next. `at`: the first night of the new one. `before`, `after`: the levels' means.

    `error`: the standard error of `estimate`, with `degrees_of_freedom`. `p`: two-sided, that of the largest statistic
    over all positions. `nights_before`, `nights_after`: how many nights the means rest on, without outliers.
    """

    at: int
    before: float
    after: float
    error: float
    degrees_of_freedom: float
    p: float
    nights_before: int
    nights_after: int

    @property
    def estimate(self) -> float:
        """The new level minus the old."""
        return self.after - self.before

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval of `estimate`."""
        half = t_quantile(0.5 + confidence / 2, self.degrees_of_freedom) * self.error
        return self.estimate - half, self.estimate + half


@dataclass(frozen=True, slots=True)
class Levels:
    """A series as levels. `suspicion`: its p is one-sided. `last`: None for too few nights."""

    steps: tuple[ChangePoint, ...] = ()
    suspicion: ChangePoint | None = None
    last: LastLevel | None = None
    drift: Drift | None = None


def find_levels(series: Sequence[NightSeries], level: float) -> list[Levels]:
    """The levels of each series of a run, which say together how noisy nights are.

    The more series have changed, the weaker an older step may be (Benjamini and Hochberg, "Controlling the False
    Discovery Rate", J. R. Stat. Soc. B 57, 1995): false ones stay the same share of those that are found. `level`: that
    of a step in one series, such as 0.05 over the number of series.
    """
    kept, noise = _without_outliers(series)
    rests = {place: nights.residual(nights.starts) for place, nights in kept.items()}
    groups = [series[place].group for place in kept]
    known = priors([variance for variance, _ in rests.values()], [freedom for _, freedom in rests.values()], groups)
    found = [Levels()] * len(series)
    changed, more = 0, 1
    while more > changed:
        changed = more
        for (place, nights), prior in zip(kept.items(), known, strict=True):
            cuts, further = search(nights, prior, level, max(OLDER_ERROR, changed))
            one = _levels(series[place], nights, cuts, further, prior, level)
            found[place] = replace(one, drift=find_drift(nights, *noise[place]))
        more = sum(bool(one.steps) for one in found)
    return found


def _without_outliers(
    series: Sequence[NightSeries],
) -> tuple[dict[int, KeptNights], dict[int, tuple[float, float]]]:
    """The series that are long enough, by their places, without outliers; and their variances with the freedom.

    These variances are of differences between consecutive nights: steps and slow declines do not enter them.
    """
    values = [one.values for one in series]
    alike, most_alike = (_correlations(series, errors) for errors in (0.0, SURE_OF_CORRELATION))
    noise = _variances(series, alike)
    long = list(noise)
    inliers = without_outliers([values[place] for place in long], [math.sqrt(noise[place][0]) for place in long])
    kept = {}
    for place, one in zip(long, inliers, strict=True):
        if one is not None and len(one.nights) >= 2 * LEAST:
            kept[place] = KeptNights(
                values[place][one.nights],
                one.nights,
                one.starts,
                len(values[place]),
                alike[place],
                most_alike[place],
                series[place].floor,
            )
    return kept, noise


def night_variances(series: Sequence[NightSeries]) -> dict[int, tuple[float, float]]:
    """The variance of a night about its level in each series that is long enough, by its place, and its freedom.

    Nights are taken to be as alike as they can be, by a bound, since nights far apart are not.
    """
    return _variances(series, _correlations(series, SURE_OF_CORRELATION))


def _correlations(series: Sequence[NightSeries], standard_errors: float) -> list[float]:
    return correlations([one.values for one in series], [one.group for one in series], standard_errors)


def _variances(series: Sequence[NightSeries], alike: Sequence[float]) -> dict[int, tuple[float, float]]:
    """The moderated variances of the series that are long enough, with their freedom."""
    long = [place for place, one in enumerate(series) if len(one.values) >= 2 * LEAST]
    scales = [night_sd(series[place].values, alike[place], series[place].floor) for place in long]
    freedoms = [max(1.0, DIFFERENCE_FREEDOM * len(series[place].values)) for place in long]
    known = priors([own**2 for own in scales], freedoms, [series[place].group for place in long])
    moderated = [
        prior.moderate(np.array(own**2 * freedom), freedom)
        for own, freedom, prior in zip(scales, freedoms, known, strict=True)
    ]
    return {place: (float(variance), freedom) for place, (variance, freedom) in zip(long, moderated, strict=True)}


def _levels(
    series: NightSeries, nights: KeptNights, cuts: Sequence[Cut], further: Sequence[Cut], prior: Prior, level: float
) -> Levels:
    """The steps of a series at these cuts, its last level and a suspicion against that."""
    starts = (0, *(cut.index for cut in cuts))
    own, own_freedom = nights.residual(starts)
    moderated, freedom = prior.moderate(np.array(own * own_freedom), own_freedom)
    variance = max(float(moderated), series.floor**2)
    parts = [nights.values[one:two] for one, two in zip(starts, [*starts[1:], len(nights.values)], strict=True)]
    means, counts = [float(part.mean()) for part in parts], [len(part) for part in parts]
    errors = [math.sqrt(variance * nights.mean_variances[count]) for count in counts]
    steps = tuple(
        ChangePoint(
            int(nights.nights[cut.index]),
            means[i],
            means[i + 1],
            math.hypot(errors[i], errors[i + 1]),
            freedom,
            cut.p,
            counts[i],
            counts[i + 1],
        )
        for i, cut in enumerate(cuts)
    )
    first = steps[-1].at if steps else 0
    detectable_effect = _detectable_effect(nights, variance, freedom, counts[-1], level)
    possible = possible_starts(nights, cuts, further, variance)
    left_out = len(series.values) - first - possible[0].nights
    last = LastLevel(first, freedom, left_out, possible, detectable_effect)
    return Levels(steps, _suspicion(series.values, nights, first, variance, freedom), last)


def _suspicion(
    values: NightValues, nights: KeptNights, first: int, variance: float, freedom: float
) -> ChangePoint | None:
    """The last nights, up to four, that are furthest off the others of the last level; None if these are too few."""
    n = len(values)
    found: list[ChangePoint] = []
    for count in range(1, LONGEST_SUSPICION + 1):
        others = nights.values[(nights.nights >= first) & (nights.nights < n - count)]
        if len(others) < _LEAST_TO_SUSPECT:
            break
        before, last = float(others.mean()), values[n - count :]
        error = math.sqrt(variance * float(nights.mean_variances[count] + nights.mean_variances[len(others)]))
        most = math.inf if count == 1 else _ONE_NIGHTS_SHARE * math.sqrt(variance)
        statistic = float(np.clip(last - before, -most, most).mean()) / error
        p = float(special.stdtr(freedom, -abs(statistic)))
        found.append(ChangePoint(n - count, before, float(last.mean()), error, freedom, p, len(others), count))
    if not found:
        return None
    best = min(found, key=lambda one: one.p)
    lengths = np.arange(1.0, len(found))
    p = scan.one_cut_p(best.p, scan.rates(lengths, n - lengths), sides=1)
    return replace(best, p=p)


def _detectable_effect(nights: KeptNights, variance: float, freedom: float, count: int, level: float) -> float | None:
    """The smallest step that three new nights would show at this level, after so many nights of the last level."""
    new = np.arange(LEAST, RECENT + 1.0)
    rates = scan.rates(new, np.maximum(len(nights.values) + 3 - new, 1.0))
    low, high = math.log(level) - 4, math.log(level)  # a scan of so few nights multiplies p by ten at most
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if scan.one_cut_p(math.exp(middle), rates) < level else (low, middle)
    error = math.sqrt(variance * float(nights.mean_variances[3] + nights.mean_variances[count]))
    size = smallest_effect(error, freedom, math.exp(low))
    return size if math.isfinite(size) else None
