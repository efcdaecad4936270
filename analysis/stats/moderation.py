"""The noise of each comparison, estimated from its own rounds and from the other comparisons of the run.

A run of four rounds leaves three degrees of freedom a comparison, and a t distribution with three degrees of freedom
concludes next to nothing once many comparisons must hold together. The other comparisons know more of the noise: a
variance is moderated by drawing it towards what they say, the more the more alike the comparisons prove (Smyth,
"Linear Models and Empirical Bayes Methods", Stat. Appl. Genet. Mol. Biol. 3:3, 2004; robust bounds as in Phipson et
al., Ann. Appl. Stat. 10, 2016). How unlike they may be is taken at its upper 75 % bound, so that few comparisons borrow
little.

The logarithm of a sample variance has a known mean and variance, which makes the fits below sums of squares of
logarithms, like an analysis of variance of cells and comparisons within cells.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from analysis.domain import Cell
from analysis.stats.differences import ENOUGH

_BOUND: Final = 0.25
"""Unlikeness of variances is taken at the bound that holds in 1 - 0.25 of cases."""

_INDEPENDENT_SHARE: Final = 0.67
"""Comparisons share their baseline: so many of them count as independent."""

_MOST_FREEDOM: Final = 1e4
_LEAST_VARIANCE: Final = 1e-12
_LEAST_CORRELATION: Final = 0.2

Key = tuple[Cell, tuple[str, str]]
"""A cell, and the two dataplanes that are compared there."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean difference of a comparison in the unit of the differences, and how well it is known.

    `rounds`: how many differences it rests on. `own_variance`: of these alone; `standard_error` and
    `degrees_of_freedom`: after moderation.
    """

    mean: float
    standard_error: float
    degrees_of_freedom: float
    own_variance: float
    rounds: int


@dataclass(frozen=True, slots=True)
class _Prior:
    """What the others say of a comparison's variance: its logarithm, and with how many degrees of freedom."""

    log_variance: Mapping[Key, float]
    degrees_of_freedom: float


def estimate_differences(
    differences: Mapping[Key, Sequence[float]],
    earlier: Sequence[Mapping[Key, Sequence[float]]] = (),
    resolution: float = 0.0,
) -> dict[Key, Estimate]:
    """The estimates of a metric's comparisons in one run, with moderated variances.

    Args:
        differences: to the baseline, one value a round in which both dataplanes were measured.
        earlier: the same of comparable earlier nights, which say how the noise is spread over the comparisons.
        resolution: the standard deviation below which equal values are a matter of rounding, in the differences' unit.

    Returns:
        An estimate for each comparison that has two rounds or more; the others have no spread to judge by.
    """
    usable = {key: values for key, values in differences.items() if len(values) >= ENOUGH}
    if not usable:
        return {}
    least = max(resolution**2, _LEAST_VARIANCE)
    variance = {key: max(_variance(values), least) for key, values in usable.items()}
    freedom = {key: len(values) - 1 for key, values in usable.items()}
    logs = {key: log_variance(variance[key], freedom[key]) for key in usable}
    nights = [known for night in earlier if (known := _log_variances(night, least)).keys() >= logs.keys()]
    noise = statistics.fmean(trigamma(freedom[key] / 2) for key in usable)
    prior = _prior_of_nights(logs, nights, noise) if nights and len(logs) > 1 else _prior_of_run(logs, noise)
    estimates = {}
    for key, values in usable.items():
        total = prior.degrees_of_freedom + freedom[key]
        moderated = prior.degrees_of_freedom * math.exp(prior.log_variance[key]) + freedom[key] * variance[key]
        error = math.sqrt(moderated / total / len(values))
        estimates[key] = Estimate(_mean(values), error, total, variance[key], len(values))
    return estimates


def own_estimate(differences: Sequence[float], resolution: float) -> Estimate:
    """The estimate of a comparison by its own rounds alone, of which there are two or more."""
    variance = max(_variance(differences), resolution**2, _LEAST_VARIANCE)
    rounds = len(differences)
    return Estimate(_mean(differences), math.sqrt(variance / rounds), rounds - 1.0, variance, rounds)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    """As `statistics.variance`, which takes fifty times as long."""
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def log_variance(variance: float, degrees_of_freedom: float) -> float:
    """The logarithm of a sample variance, less its bias: its mean is the logarithm of the true variance."""
    return math.log(variance) - float(special.digamma(degrees_of_freedom / 2)) + math.log(degrees_of_freedom / 2)


def _log_variances(night: Mapping[Key, Sequence[float]], least: float) -> dict[Key, float]:
    return {
        key: log_variance(max(_variance(values), least), len(values) - 1)
        for key, values in night.items()
        if len(values) >= ENOUGH
    }


def _prior_of_run(logs: Mapping[Key, float], noise: float) -> _Prior:
    """From the comparisons of this run alone. `noise`: the sampling variance of a log-variance."""
    count, mean = len(logs), statistics.fmean(logs.values())
    cells: dict[Cell, list[Key]] = defaultdict(list)
    for key in logs:
        cells[key[0]].append(key)
    if len(cells) == 1:
        return _Prior(dict.fromkeys(logs, mean), 0.0)
    independent = max(2.0, _INDEPENDENT_SHARE * count)
    if len(cells) == count:  # two dataplanes: no comparison shares a cell with another
        spread = _upper(statistics.variance(logs.values()), independent - 1) - noise
        return _Prior(dict.fromkeys(logs, mean), freedom_of(max(spread, 0.0) + noise / independent))
    per_cell = count / len(cells)
    means = {cell: statistics.fmean(logs[key] for key in keys) for cell, keys in cells.items()}
    inner = count - len(cells)
    within_seen = sum((value - means[key[0]]) ** 2 for key, value in logs.items()) / inner
    within = max(_upper(within_seen, inner) - 0.75 * noise, 0.0)
    correlation = min(max(1 - _lower(within_seen, inner) / (noise + within), _LEAST_CORRELATION), 1.0)
    of_others = (noise + within) * (1 + (per_cell - 2) * correlation) / (per_cell - 1)
    of_cell = (noise + within) * (1 + (per_cell - 1) * correlation) / per_cell
    between = max(_upper(statistics.variance(means.values()), len(cells) - 1) - of_cell, 0.0)
    weight = between / (between + of_others)
    prior = {}
    for key in logs:
        others = [logs[other] for other in cells[key[0]] if other != key]
        prior[key] = weight * statistics.fmean(others) + (1 - weight) * mean if others else mean
    return _Prior(prior, freedom_of(within + min(between, of_others) + noise / independent))


def _prior_of_nights(logs: Mapping[Key, float], nights: Sequence[Mapping[Key, float]], noise: float) -> _Prior:
    """From how the noise was spread over the same comparisons in earlier nights, at tonight's level of noise."""
    count, past = len(logs), len(nights)
    keys = list(logs)
    table = np.array([[night[key] for key in keys] for night in (*nights, logs)])
    relative = table - table.mean(axis=1, keepdims=True)
    habitual = relative[:-1].mean(axis=0)
    centre = relative.mean(axis=0)
    independent = max(2.0, _INDEPENDENT_SHARE * count)
    seen = float(((relative - centre) ** 2).sum()) / (past * (count - 1))
    nightly = max(_upper(seen, past * (independent - 1)) - noise, 0.0)
    lasting_seen = float(centre.var(ddof=1))
    lasting = max(_upper(lasting_seen, independent - 1) - (noise + nightly) / (past + 1), 0.0)
    weight = lasting / (lasting + (noise + nightly) / past)
    mean = statistics.fmean(logs.values())
    prior = {key: weight * float(habitual[i]) + mean for i, key in enumerate(keys)}
    return _Prior(prior, freedom_of(nightly + (1 - weight) * lasting + noise / independent))


def trigamma(x: float) -> float:
    """The second derivative of the logarithm of the gamma function."""
    return float(special.polygamma(1, x))


def freedom_of(log_variance_variance: float) -> float:
    """The degrees of freedom of a variance estimate whose logarithm has this variance.

    Twice the inverse of trigamma, by Newton's method (Smyth 2004, appendix); at most 10,000.
    """
    if log_variance_variance < 1e-6:  # noqa: PLR2004 - more degrees of freedom than the most
        return _MOST_FREEDOM
    y = 0.5 + 1 / log_variance_variance
    for _ in range(50):
        value = trigamma(y)
        step = value * (1 - value / log_variance_variance) / float(special.polygamma(2, y))
        y += step
        if -step / y < 1e-10:  # noqa: PLR2004 - converged
            break
    return min(2 * y, _MOST_FREEDOM)


def _upper(variance: float, degrees_of_freedom: float) -> float:
    """The bound below which the true variance lies in 75 % of cases."""
    return variance * degrees_of_freedom / _chi2_quantile(_BOUND, degrees_of_freedom)


def _lower(variance: float, degrees_of_freedom: float) -> float:
    return variance * degrees_of_freedom / _chi2_quantile(1 - _BOUND, degrees_of_freedom)


def _chi2_quantile(probability: float, degrees_of_freedom: float) -> float:
    return 2 * float(special.gammaincinv(degrees_of_freedom / 2, probability))
