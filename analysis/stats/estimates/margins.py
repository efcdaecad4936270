"""How much counts as the same: the one definition for runs, curves and comparisons of runs. Pure.

A margin of a ratio is a factor: with 10 % the other's figure is at most 1.1 times as large and at least 1/1.1 times, so
from -9.1 % to +10 %. That is symmetric in logarithms, so it does not matter which of the two is named first.
"""

from typing import Final

from analysis.metrics.metric import ValueScale

_POINTS: Final = 0.01


def least_change(margin: float, scale: ValueScale) -> float:
    """The change for the lower end of a margin; `margin` itself is that for the upper end."""
    return -margin if scale == "points" else 1 / (1 + margin) - 1


def margin_on(scale: ValueScale, margin_ratio: float) -> float:
    """A run's margin on a scale: as it is for ratios; one percentage point for shares, such as losses."""
    return margin_ratio if scale == "ratio" else _POINTS


def is_within(low: float, high: float, margin: float, scale: ValueScale) -> bool:
    """Whether an interval of a change lies wholly inside the margin."""
    return least_change(margin, scale) <= low and high <= margin
