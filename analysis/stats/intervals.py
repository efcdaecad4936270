"""Intervals, comparisons, correction for many comparisons, and power; pure functions over visit means.

The visit is the unit of replication: trials inside one visit share the effects of its switch, so that an interval over
trials covers the truth in 50 to 75 % of cases instead of 95 %. All functions therefore take one value for each visit.
Rounds are blocks: a difference is taken inside a round, which cancels drift (Abedi and Brecht, "Conducting Repeatable
Experiments in Highly Variable Cloud Computing Environments", ICPE 2017).

Only `scipy.special` is used: `scipy.stats` takes seconds to import and gives the same distributions.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from scipy import special

CONFIDENCE: Final = 0.95
SIGNIFICANCE: Final = 0.05
POWER: Final = 0.80
ENOUGH: Final = 2
"""Fewer values than this have no spread."""

NEGLIGIBLE_SPREAD: Final = 1e-12
"""Below it a standard error is rounding noise of equal values."""

Method = Literal["paired", "welch"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval, in the unit of the values; `n` values, one a visit."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One side minus the other, in the unit of the values (for logarithms: the logarithm of the ratio).

    `standard_error` and `degrees_of_freedom` are those of the t distribution behind `low`, `high` and `p`; `n` counts
    rounds (paired), or the visits of the side with fewer (welch).
    """

    estimate: float
    low: float
    high: float
    p: float
    standard_error: float
    degrees_of_freedom: float
    n: int
    method: Method


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """The value below which a t-distributed variable falls with this probability."""
    return float(special.stdtrit(degrees_of_freedom, probability))


def two_sided_p(t: float, degrees_of_freedom: float) -> float:
    """The p-value of a t statistic."""
    return 2.0 * float(special.stdtr(degrees_of_freedom, -abs(t)))


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The mean of visit means with its t-interval; None for fewer than two visits."""
    if len(values) < ENOUGH:
        return None
    mean = statistics.fmean(values)
    half = t_quantile(0.5 + confidence / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, len(values))


def geometric_mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """As `mean_interval`, of the logarithms: for rates and durations, whose noise is proportional to their size.

    None also where a value is not positive.
    """
    if any(value <= 0 for value in values):
        return None
    logs = mean_interval([math.log(value) for value in values], confidence)
    return logs and Interval(math.exp(logs.mean), 1 + as_share(logs.low), 1 + as_share(logs.high), logs.n)


def as_share(logarithm: float) -> float:
    """A difference of logarithms as a share; infinity where it overflows, as with two visits that disagree widely."""
    try:
        return math.expm1(logarithm)
    except OverflowError:
        return math.inf


def difference(baseline: Mapping[int, float], other: Mapping[int, float]) -> Difference | None:
    """`other` minus `baseline`, each one value for each round.

    Paired within rounds; where fewer than two rounds have both, Welch's t-test over the visits, whose interval is wider
    where the machine drifts.

    Returns:
        None where a side has fewer than two values.
    """
    blocks = sorted(baseline.keys() & other.keys())
    if len(blocks) >= ENOUGH:
        deltas = [other[block] - baseline[block] for block in blocks]
        error = statistics.stdev(deltas) / math.sqrt(len(deltas))
        return _of_t(statistics.fmean(deltas), error, len(deltas) - 1.0, len(deltas), "paired")
    if min(len(baseline), len(other)) < ENOUGH:
        return None
    first, second = list(baseline.values()), list(other.values())
    variances = [statistics.variance(side) / len(side) for side in (first, second)]
    error = math.sqrt(sum(variances))
    shares = sum(v**2 / (len(side) - 1) for v, side in zip(variances, (first, second), strict=True))
    freedom = error**4 / shares if shares > 0 else float(len(first) + len(second) - 2)
    estimate = statistics.fmean(second) - statistics.fmean(first)
    return _of_t(estimate, error, freedom, min(len(first), len(second)), "welch")


def _of_t(estimate: float, error: float, freedom: float, n: int, method: Method) -> Difference:
    half = t_quantile(0.5 + CONFIDENCE / 2, freedom) * error
    if error > NEGLIGIBLE_SPREAD:
        p = two_sided_p(estimate / error, freedom)
    else:
        p = 1.0 if abs(estimate) <= NEGLIGIBLE_SPREAD else 0.0
    return Difference(estimate, estimate - half, estimate + half, p, error, freedom, n, method)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number, in their order (Holm, Scandinavian Journal of Statistics 6, 1979).

    Comparing adjusted values with 0.05 keeps the family-wise error rate at 5 %.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def rejected_level(adjusted: Sequence[float], significance: float = SIGNIFICANCE) -> float:
    """The level at which Holm's procedure stopped: the threshold of each difference that was not significant."""
    remaining = sum(1 for p in adjusted if p >= significance)
    return significance / max(1, remaining)


def smallest_effect(
    standard_error: float, degrees_of_freedom: float, level: float = SIGNIFICANCE, power: float = POWER
) -> float:
    """The smallest true difference that a test with this error finds with this power, in the unit of the values.

    From the noncentral t distribution (Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed. 1988,
    ch. 2): the noncentrality at which the two-sided test at `level` rejects with probability `power`, times the
    standard error, which is itself an estimate.
    """
    critical = t_quantile(1 - level / 2, degrees_of_freedom)
    return float(special.nctdtrinc(degrees_of_freedom, 1 - power, critical)) * standard_error
