"""The differences of two dataplanes round by round, on the scale on which a metric is compared. Pure.

Rounds are blocks: a difference is taken inside a round, which cancels drift (Abedi and Brecht, "Conducting Repeatable
Experiments in Highly Variable Cloud Computing Environments", ICPE 2017).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from analysis import formatting
from analysis.metric import ComparedMetric
from analysis.stats.intervals import as_share

ENOUGH: Final = 2
"""Fewer rounds than this have no spread."""

Scale = Literal["logarithm", "share", "points"]
"""Of differences: of logarithms; where a value is zero, of values as a share of the baseline's mean; of points."""

Block = tuple[str, int]
"""A run and a round."""

Values = Mapping[Block, float]
"""The means of a dataplane's visits in one cell, by round."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The values of two dataplanes in the rounds in which both were measured."""

    scale: Scale
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

    def change(self, difference: float) -> float:
        """A difference of this scale as a reader sees it: a share, or points."""
        return as_share(difference) if self.scale == "logarithm" else difference

    def ratio_interval(self, limit: float) -> tuple[float, float]:
        """The interval of the ratio of the two means, less one, where the mean of the baseline is uncertain too.

        Fieller's: all ratios that a t-test of `limit` standard errors does not exclude (J. R. Stat. Soc. B 16, 1954).
        It has no bound, or starts from a loss of all, where the baseline's mean itself might be zero.
        """
        count = len(self.baseline)
        square = limit**2 / count
        base, other = statistics.fmean(self.baseline), statistics.fmean(self.other)
        a = base**2 - square * statistics.variance(self.baseline)
        b = base * other - square * statistics.covariance(self.baseline, self.other)
        c = other**2 - square * statistics.variance(self.other)
        root = math.sqrt(max(b**2 - a * c, 0.0))
        if a <= 0:
            return -1.0, math.inf
        return max((b - root) / a, 0.0) - 1, (b + root) / a - 1


def differences(metric: ComparedMetric, baseline: Values, other: Values, names: Sequence[str]) -> Differences | str:
    """The differences of two dataplanes, or in a sentence why there are too few to judge by.

    Args:
        metric: of the values.
        baseline: the values of the one that is compared with.
        other: the values of the one that is compared.
        names: theirs, in this order.
    """
    common = [block for block in baseline if block in other]
    if len(common) < ENOUGH:
        return (
            f"{formatting.count(len(common), 'round')} in which {names[0]} and {names[1]} were both measured "
            f"{'leaves' if len(common) == 1 else 'leave'} no spread to judge by; {ENOUGH} rounds are the least"
        )
    one, two = tuple(baseline[block] for block in common), tuple(other[block] for block in common)
    if metric.scale == "points":
        return Differences("points", one, two)
    if min(one) > 0 and min(two) > 0:
        return Differences("logarithm", one, two)
    if statistics.fmean(one) <= 0:
        return f"{names[0]} measured no {metric.title} above zero, of which a difference could be a share"
    return Differences("share", one, two)
