"""The differences of two dataplanes round by round, on the scale on which a metric is compared. Pure.

Rounds are blocks: a difference is taken inside a round, which cancels drift (Abedi and Brecht, "Conducting Repeatable
Experiments in Highly Variable Cloud Computing Environments", ICPE 2017).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis import formatting
from analysis.metrics.metric import ComparedMetric
from analysis.stats.estimates.intervals import ENOUGH, as_share

Block = tuple[str, int]
"""A run and a round."""

Values = Mapping[Block, float]
"""The means of a dataplane's visits in one cell, by round."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The values of two dataplanes in the rounds in which both were measured, which are `blocks`.

    `scale`: of logarithms; where a value is zero, of values as a share of the baseline's mean; of points.
    """

    scale: Literal["logarithm", "share", "points"]
    blocks: tuple[Block, ...]
    baseline: tuple[float, ...]
    other: tuple[float, ...]

    @property
    def values(self) -> list[float]:
        """Round by round, in the unit of the scale."""
        pairs = zip(self.baseline, self.other, strict=True)
        if self.scale == "logarithm":
            return [math.log(other) - math.log(baseline) for baseline, other in pairs]
        unit = statistics.fmean(self.baseline) if self.scale == "share" else 1.0
        return [(other - baseline) / unit for baseline, other in pairs]

    @property
    def means(self) -> tuple[float, float]:
        """Of both dataplanes, over these rounds alone: their difference on this scale is the mean of `values`."""
        mean = statistics.geometric_mean if self.scale == "logarithm" else statistics.fmean
        return mean(self.baseline), mean(self.other)

    def until(self, end: int, order: Mapping[Block, int]) -> list[float]:
        """`values` of the rounds up to this place in their order."""
        return [value for block, value in zip(self.blocks, self.values, strict=True) if order[block] <= end]

    def interval(self, estimate: float, half: float, standard_errors: float) -> tuple[float, float, float]:
        """A difference of this scale and its interval as a reader sees it: shares, or points.

        `half`: half the width of the interval, which is so many standard errors.
        """
        match self.scale:
            case "points":
                return estimate, estimate - half, estimate + half
            case "logarithm":
                return as_share(estimate), as_share(estimate - half), as_share(estimate + half)
            case "share":
                return self._ratio_interval(half / standard_errors, standard_errors)

    def _ratio_interval(self, standard_error: float, standard_errors: float) -> tuple[float, float, float]:
        """The ratio of the two means and its interval, less one, where the mean of the baseline is uncertain too.

        Fieller's: all ratios that a t-test of so many standard errors does not exclude (J. R. Stat. Soc. B 16, 1954),
        as far as they are not negative. It is without an upper bound where the baseline's mean might be zero.
        """
        base, other = statistics.fmean(self.baseline), statistics.fmean(self.other)
        between = statistics.covariance(self.baseline, self.other)
        of_base, of_other = statistics.variance(self.baseline), statistics.variance(self.other)
        floor = max((standard_error * base) ** 2 * len(self.baseline) - (of_base + of_other - 2 * between), 0.0)
        square = standard_errors**2 / len(self.baseline)
        a = base**2 - square * of_base
        b = base * other - square * between
        c = other**2 - square * (of_other + floor)
        root = math.sqrt(max(b**2 - a * c, 0.0))
        ratio = other / base
        low = min((b - root) / a, ratio) if a > 0 or (a < 0 < c) else 0.0
        high = max((b + root) / a, ratio) if a > 0 else math.inf
        return ratio - 1, max(low, 0.0) - 1, high - 1


def differences(metric: ComparedMetric, baseline: Values, other: Values, names: Sequence[str]) -> Differences | str:
    """The differences of two dataplanes with these names, or in a sentence why there are too few to judge by."""
    common = tuple(block for block in baseline if block in other)
    if len(common) < ENOUGH:
        return f"{formatting.count(len(common), 'round')} measured both, and an interval takes {ENOUGH}"
    one, two = tuple(baseline[block] for block in common), tuple(other[block] for block in common)
    if metric.scale == "points":
        return Differences("points", common, one, two)
    if min(one) > 0 and min(two) > 0:
        return Differences("logarithm", common, one, two)
    if statistics.fmean(one) <= 0:
        return f"{names[0]} measured no {metric.title} above zero, of which a difference could be a share"
    return Differences("share", common, one, two)
