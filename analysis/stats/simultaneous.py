"""Critical values and p-values that hold for all comparisons of a family at once.

Comparisons that share a baseline are correlated: the differences of J dataplanes to one baseline have a correlation of
1/2 where all are equally noisy (Dunnett, "A Multiple Comparison Procedure for Comparing Several Treatments with a
Control", JASA 50, 1955). Groups with baselines of their own are treated as independent, which errs to the safe side
where they are positively correlated (Sidak, JASA 62, 1967).

`scipy.stats.dunnett` is for independent samples, and `scipy.stats` takes seconds to import.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import special

CONFIDENCE: Final = 0.95
_CORRELATION: Final = 0.5

_HERMITE, _HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
_HERMITE_WEIGHTS = _HERMITE_WEIGHTS / math.sqrt(2 * math.pi)
_LEGENDRE, _LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(80)
_UNIT, _UNIT_WEIGHTS = (_LEGENDRE + 1) / 2, _LEGENDRE_WEIGHTS / 2


@lru_cache(maxsize=65536)
def dunnett_cdf(limit: float, comparisons: int, degrees_of_freedom: float) -> float:
    """The probability that none of J equally correlated t variables exceeds `limit` in size.

    Integrated over the common part of the variables (Gauss-Hermite) and over their common variance (Gauss-Legendre on
    its quantiles).
    """
    scale = np.sqrt(2 * special.gammaincinv(degrees_of_freedom / 2, _UNIT) / degrees_of_freedom)
    bound = limit * scale[:, None]
    shared = math.sqrt(_CORRELATION) * _HERMITE
    rest = math.sqrt(1 - _CORRELATION)
    inside = special.ndtr((bound + shared) / rest) - special.ndtr((shared - bound) / rest)
    return float(((inside**comparisons) @ _HERMITE_WEIGHTS) @ _UNIT_WEIGHTS)


@dataclass(frozen=True, slots=True)
class Family:
    """All comparisons that a reader may quote together.

    `groups`: how many groups have how many comparisons that share a baseline: {3: 7} for four dataplanes on seven cells.
    """

    groups: tuple[tuple[int, int], ...]

    @classmethod
    def of_sizes(cls, sizes: Sequence[int]) -> "Family":
        """The family of groups of these sizes."""
        return cls(tuple(sorted((size, list(sizes).count(size)) for size in set(sizes))))

    @property
    def comparisons(self) -> int:
        """How many comparisons there are in all."""
        return sum(size * count for size, count in self.groups)

    def cdf(self, limit: float, degrees_of_freedom: float) -> float:
        """The probability that no comparison without a true difference exceeds `limit` standard errors."""
        return math.prod(dunnett_cdf(limit, size, degrees_of_freedom) ** count for size, count in self.groups)

    def critical_value(self, degrees_of_freedom: float, confidence: float = CONFIDENCE) -> float:
        """The half-width, in standard errors, with which all intervals hold together with this confidence."""
        return _critical_value(self, round(degrees_of_freedom, 6), confidence)

    def p_adjusted(self, t: float, degrees_of_freedom: float) -> float:
        """The chance that any comparison of the family were so clear without a true difference."""
        return 1 - self.cdf(abs(t), degrees_of_freedom)


@lru_cache(maxsize=8192)
def _critical_value(family: Family, degrees_of_freedom: float, confidence: float) -> float:
    low, high = 0.0, 1.0
    while family.cdf(high, degrees_of_freedom) < confidence:
        low, high = high, 2 * high
    while high - low > 1e-7 * high:  # noqa: PLR2004 - far below what is printed
        middle = (low + high) / 2
        low, high = (middle, high) if family.cdf(middle, degrees_of_freedom) < confidence else (low, middle)
    return high
