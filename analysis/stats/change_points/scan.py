"""How improbable the largest of many test statistics is, where a cut, or a pair of cuts, may be at any night.

Bonferroni's correction counts positions as if they were independent, but a cut one night later is nearly the same cut.
The tail of the maximum is known instead: for one cut from James, James and Siegmund, "Tests for a Change-Point"
(Biometrika 74, 1987), for two from Siegmund, "Approximate Tail Probabilities for the Maxima of Some Random Fields"
(Annals of Probability 16, 1988). Near a position the statistic is a random walk, whose `rate` is half the share of
information that one night more or less changes. Statistics of a t distribution enter by the normal quantile of the same
p-value.
"""

import math
from typing import Final

import numpy as np
from scipy import special

from analysis.stats.change_points.night_noise import NightValues

_LEAST_P: Final = 1e-300
_NO_TAIL: Final = 0.2
"""The formulas hold for small p-values; from here on a scan finds nothing that chance does not."""

_SQRT_2PI: Final = math.sqrt(2 * math.pi)


def rates(inside: NightValues, outside: NightValues) -> NightValues:
    """The rate at each cut, from the numbers of nights on its two sides."""
    return (inside + outside) / (2 * inside * outside)


def one_cut_p(p: float, rate: NightValues, sides: int = 2) -> float:
    """The p-value of the largest statistic over all cuts with these rates, from its own p-value of one or two sides."""
    if p >= _NO_TAIL:
        return 1.0
    if p < _LEAST_P:
        return 0.0
    b = _height(p, sides)
    return min(1.0, p + sides * b * _density(b) * float((rate * _overshoot(b * np.sqrt(2 * rate))).sum()))


def two_cuts_p(p: float, rate: NightValues, counts: NightValues) -> float:
    """As `one_cut_p`, two-sided, for a part between two cuts.

    `rate`: for each length of the part, which was tried in so many places (`counts`).
    """
    single = one_cut_p(p, rate)
    if single in {0.0, 1.0}:
        return single
    b = _height(p, 2)
    field = float((counts * rate**2 * _overshoot(b * np.sqrt(2 * rate)) ** 2).sum())
    return min(1.0, single + 2 * b**3 * _density(b) * field)


def _height(p: float, sides: int) -> float:
    return -float(special.ndtri(p / sides))


def _density(b: float) -> float:
    return math.exp(-b * b / 2) / _SQRT_2PI


def _overshoot(x: NightValues) -> NightValues:
    """How much less a walk in steps exceeds a bound than a continuous one.

    Siegmund and Yakir, "The Statistics of Gene Mapping", 2007.
    """
    half = special.ndtr(x / 2)
    found: NightValues = (2 / x) * (half - 0.5) / ((x / 2) * half + np.exp(-x * x / 8) / _SQRT_2PI)
    return found
