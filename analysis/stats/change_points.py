"""Change points of a series of nights; pure functions over one value for each night.

Values are logarithms, or points, so that a change of level adds a constant. Three steps:

- **Noise**, from the differences between nights, robust against steps and outliers: the median absolute difference
  (Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", JASA 88, 1993). Consecutive nights tend to be
  alike, and drift must not pass for steps, so their correlation is estimated, too.
- **Candidates** by optimal partitioning (Jackson et al., "An Algorithm for Optimal Partitioning of Data on an
  Interval", IEEE Signal Processing Letters 12, 2005): the partition with the least sum of absolute deviations from each
  segment's median, plus a penalty for each cut. With absolute deviations a single outlier gains nothing by a cut.
- **Test**: each cut must pass a t-test with the noise of all nights about their levels. Welch's test would estimate the
  noise from the nights after the cut alone, and has no power with two of them.

No library fits. `ruptures` (1.1.10) can't be installed on Python 3.14, where all other dependencies can; it imports
`scipy.stats` and `scipy.signal`, which takes a second; and by absolute deviations it takes some 60 ms for 90 nights, a
hundred times for each report. `apache-otava` (0.8) pins numpy 2.2 and depends on a BigQuery client.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from analysis.stats.intervals import CONFIDENCE, POWER, smallest_effect, t_quantile, two_sided_p

Values = NDArray[np.float64]

RECENT: Final = 7
"""A step within so many nights from the last is news. Half of the error rate is spent on these nights, half on all
before them."""

LEAST: Final = 2
"""The fewest nights of a level."""

FLOOR: Final = 1e-3
"""The least noise assumed, since equal figures occur and nothing is measured to better than a thousandth."""

ODD: Final = 4.0
"""A night this many times the noise off its level is an outlier: it enters neither the mean nor the noise."""

_TRIM: Final = 2.5
"""Differences beyond this many times their scale are steps or outliers, and are left out of the correlation."""

_ENOUGH_TO_CORRELATE: Final = 10
_MOST_CORRELATION: Final = 0.9
_GAUSSIAN: Final = 1.4826
"""From a median absolute deviation to a standard deviation."""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """One level to the next. `at`: the first night of the new one. `before`, `after`: the levels' means.

    `low`, `high`: the 95 % interval of `estimate`. `p`: two-sided, corrected for the number of possible positions.
    `nights_before`, `nights_after`: how many nights the means rest on, without outliers.
    """

    at: int
    before: float
    after: float
    low: float
    high: float
    p: float
    nights_before: int
    nights_after: int

    @property
    def estimate(self) -> float:
        """The new level minus the old."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class LastLevel:
    """The last night against the earlier nights of its level: their mean, the night's value, and p, two-sided."""

    before: float
    value: float
    low: float
    high: float
    p: float
    nights_before: int


@dataclass(frozen=True, slots=True)
class Levels:
    """A series as levels. `sight`: the smallest step found by its third night with 80 % power; None: none is."""

    steps: tuple[ChangePoint, ...]
    last: LastLevel | None
    sight: float | None


def correlation(values: Sequence[float] | Values) -> float:
    """The correlation of consecutive nights, 0 to 0.9, robust against steps and outliers; 0 for too few nights.

    As of an autoregressive process of the first order: differences to the next night are small against those over two
    and three nights.
    """
    if len(values) < _ENOUGH_TO_CORRELATE:
        return 0.0
    series = np.asarray(values, dtype=float)
    near, *far = (_trimmed_square(np.abs(series[lag:] - series[:-lag])) for lag in (1, 2, 3))
    return min(max(1 - near / max(float(np.mean(far)), FLOOR**2), 0.0), _MOST_CORRELATION)


def scale(values: Sequence[float] | Values, alike: float = 0.0, floor: float = FLOOR) -> float:
    """The standard deviation of a night about its level, from two nights or more; `alike`: their correlation."""
    differences = np.abs(np.diff(np.asarray(values, dtype=float)))
    return max(_GAUSSIAN * float(np.median(differences)) / math.sqrt(2 * (1 - alike)), floor)


def _trimmed_square(distances: Values) -> float:
    bound = max(_TRIM * _GAUSSIAN * float(np.median(distances)), FLOOR)
    return float(np.mean(distances[distances <= bound] ** 2))


def segment_starts(values: Sequence[float] | Values, penalty: float, least: int = LEAST) -> list[int]:
    """The first index of each segment of the best partition, beginning with 0.

    Args:
        values: the series, in units of its noise.
        penalty: what a cut must gain, in the same units, summed over nights.
        least: the fewest nights of a segment.
    """
    series = np.asarray(values, dtype=float)
    n = len(series)
    cost = np.full((n + 1, n + 1), np.inf)  # of a part from the first index to before the second
    for length in range(least, n + 1):
        half = length // 2  # deviations from the median sum up to the upper half less the lower
        parted = np.partition(sliding_window_view(series, length), half, axis=1)
        off = parted[:, length - half :].sum(axis=1) - parted[:, :half].sum(axis=1)
        cost[np.arange(n - length + 1), np.arange(length, n + 1)] = off
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    begins = [0] * (n + 1)
    for end in range(least, n + 1):
        totals = best[:end] + cost[:end, end] + penalty
        begins[end] = int(np.argmin(totals))
        best[end] = totals[begins[end]]
    found = [begins[n]]
    while found[-1] > 0:
        found.append(begins[found[-1]])
    return found[::-1]


def levels(values: Sequence[float] | Values, level: float, floor: float = FLOOR) -> Levels:
    """The levels of a series: the candidates that are significant.

    Args:
        values: one for each night, in the order of time.
        level: the significance level of a step.
        floor: the least noise to assume, such as the standard error of a night's mean over its visits.
    """
    n = len(values)
    if n < 2 * LEAST:
        return Levels((), None, None)
    series, alike = np.asarray(values, dtype=float), correlation(values)
    noise = scale(values, alike, floor)
    starts = segment_starts(series / noise, math.log(n))
    while True:
        split = _split(series, starts, noise, alike, floor)
        if split is None:
            return Levels((), None, None)
        if len(split.starts) == 1:
            steps: tuple[ChangePoint, ...] = ()
            break
        steps = split.steps(n)
        worst = max(range(len(steps)), key=lambda place: steps[place].p)
        if steps[worst].p < level:
            break
        starts = [start for start in split.starts if start != steps[worst].at]
    return Levels(steps, _last(series, split), split.sight(n, level))


@dataclass(frozen=True, slots=True)
class _Split:
    """A series cut at `starts`. `kept`: each segment without outliers. `scale` has `freedom` degrees of freedom."""

    starts: list[int]
    kept: list[Values]
    scale: float
    freedom: int
    correlation: float

    def error(self, nights: int) -> float:
        """The standard error of the mean of so many consecutive, correlated nights."""
        lags = np.arange(1, nights)
        inflation = 1 + 2 * float(((1 - lags / nights) * self.correlation**lags).sum())
        return self.scale * math.sqrt(inflation / nights)

    def steps(self, nights: int) -> tuple[ChangePoint, ...]:
        """The change points between segments; p is corrected for the number of possible positions."""
        found = []
        for one, two, at in zip(self.kept[:-1], self.kept[1:], self.starts[1:], strict=True):
            before, after = float(one.mean()), float(two.mean())
            error = math.hypot(self.error(len(one)), self.error(len(two)))
            half = t_quantile(0.5 + CONFIDENCE / 2, self.freedom) * error
            p = min(1.0, position_weights(nights - at, nights) * two_sided_p((after - before) / error, self.freedom))
            change = after - before
            found.append(ChangePoint(at, before, after, change - half, change + half, p, len(one), len(two)))
        return tuple(found)

    def sight(self, nights: int, level: float) -> float | None:
        """The smallest step that three new nights would show at this level, after the nights of the last segment."""
        freedom = self.freedom + 2  # three more nights, one more level
        error = math.hypot(self.error(len(self.kept[-1])), self.error(3))
        size = smallest_effect(error, freedom, level / position_weights(3, nights), POWER)
        return size if math.isfinite(size) else None


def position_weights(since: int, nights: int) -> int:
    """The factor of p for a step so many nights ago: Bonferroni's correction, weighted towards recent nights."""
    recent = min(RECENT, nights)
    return 2 * recent if since <= RECENT else 2 * (nights - recent)


def _split(series: Values, starts: list[int], noise: float, alike: float, floor: float) -> _Split | None:
    """The series cut there; a segment of outliers alone joins its neighbour. None: nothing is left."""
    starts = list(starts)
    while True:
        parts = [series[one:two] for one, two in zip(starts, [*starts[1:], len(series)], strict=True)]
        kept = [part[np.abs(part - np.median(part)) <= ODD * noise] for part in parts]
        thin = next((place for place, part in enumerate(kept) if len(part) < LEAST), None)
        if thin is None:
            break
        if len(starts) == 1:
            return None
        del starts[max(thin, 1)]
    freedom = sum(len(part) for part in kept) - len(kept)
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in kept)
    return _Split(starts, kept, max(math.sqrt(squares / freedom), floor), freedom, alike)


def _last(series: Values, split: _Split) -> LastLevel | None:
    """The last night against the others of its level; None if they are too few."""
    others = series[split.starts[-1] : -1]
    kept = others[np.abs(others - np.median(others)) <= ODD * split.scale] if len(others) else others
    if len(kept) < 2 * LEAST:
        return None
    before, value = float(kept.mean()), float(series[-1])
    scale = max(float(kept.std(ddof=1)), split.scale)
    error = scale * math.sqrt(1 + 1 / len(kept))
    half = t_quantile(0.5 + CONFIDENCE / 2, len(kept) - 1) * error
    p = two_sided_p((value - before) / error, len(kept) - 1)
    return LastLevel(before, value, value - before - half, value - before + half, p, len(kept))
