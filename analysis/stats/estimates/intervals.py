"""The interval of a mean, quantiles, and power; pure functions over visit means.

The visit is the unit of replication: trials inside one visit share the effects of its switch, so that an interval over
trials covers the truth in 50 to 75 % of cases instead of 95 %. All functions therefore take one value for each visit.

Only `scipy.special` is used: `scipy.stats` takes seconds to import and gives the same distributions.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scipy import special

_CONFIDENCE: Final = 0.95
SIGNIFICANCE: Final = 0.05
_POWER: Final = 0.80
ENOUGH: Final = 2
"""Fewer values than this have no spread."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval, in the unit of the values; `n` values, one a visit."""

    mean: float
    low: float
    high: float
    n: int


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """The value below which a t-distributed variable falls with this probability."""
    return float(special.stdtrit(degrees_of_freedom, probability))


def two_sided_p(t: float, degrees_of_freedom: float) -> float:
    """The p-value of a t statistic."""
    return 2.0 * float(special.stdtr(degrees_of_freedom, -abs(t)))


def standard_errors(level: float, degrees_of_freedom: float) -> float:
    """How many standard errors an interval reaches to either side that misses the truth with this probability."""
    return -float(special.stdtrit(degrees_of_freedom, level / 2))


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The mean of visit means with its t-interval of 95 %; None for fewer than two visits."""
    if len(values) < ENOUGH:
        return None
    mean = statistics.fmean(values)
    half = t_quantile(0.5 + _CONFIDENCE / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, len(values))


def geometric_mean_interval(values: Sequence[float]) -> Interval | None:
    """As `mean_interval`, of the logarithms: for rates and durations, whose noise is proportional to their size.

    None also where a value is not positive.
    """
    if any(value <= 0 for value in values):
        return None
    logs = mean_interval([math.log(value) for value in values])
    return logs and Interval(math.exp(logs.mean), 1 + as_share(logs.low), 1 + as_share(logs.high), logs.n)


def as_share(logarithm: float) -> float:
    """A difference of logarithms as a share; infinity where it overflows, as with two visits that disagree widely."""
    try:
        return math.expm1(logarithm)
    except OverflowError:
        return math.inf


def smallest_effect(standard_error: float, degrees_of_freedom: float, level: float) -> float:
    """The smallest true difference that a test with this error finds with 80 % power, in the unit of the values.

    From the noncentral t distribution (Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed. 1988,
    ch. 2): the noncentrality at which the two-sided test at `level` rejects with this probability, times the
    standard error, which is itself an estimate.
    """
    critical = t_quantile(1 - level / 2, degrees_of_freedom)
    return float(special.nctdtrinc(degrees_of_freedom, 1 - _POWER, critical)) * standard_error
