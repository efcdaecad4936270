"""The noise of each comparison, estimated from its own rounds and from the other comparisons of the run.

A run of four rounds leaves three degrees of freedom a comparison, and a t distribution with three degrees of freedom
concludes next to nothing once many comparisons must hold together. The other comparisons know more of the noise: a
variance is moderated by drawing it towards what they say, the more the more alike the comparisons prove (Smyth,
"Linear Models and Empirical Bayes Methods", Stat. Appl. Genet. Mol. Biol. 3:3, 2004). How unlike they are is itself
estimated: at its median, so that it is as often too large as too small.

The logarithm of a sample variance has a known mean and variance, which makes the fits below sums of squares of
logarithms, like an analysis of variance of cells and comparisons within cells. Comparisons of a cell share dataplanes,
and so part of their noise: what a comparison's own variance and its neighbours' say in common counts once.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

import numpy as np
from scipy import special

from analysis.stats.estimates.intervals import ENOUGH

_SHARED_NOISE: Final = 0.25
"""The correlation of the variances of two comparisons that share one of two equally noisy dataplanes."""

_MOST_FREEDOM: Final = 1e4
_LEAST_VARIANCE: Final = 1e-12
_LEAST_CORRELATION: Final = 0.2
_SPREAD_INSIDE: Final = 1 - _SHARED_NOISE
"""Of the sampling variance of log-variances, what is left inside a cell."""

Key = tuple[Hashable, tuple[str, str]]
"""Where two are compared, and their names: a cell, and two dataplanes; a dataplane in a cell, and two scales."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean difference of a comparison in the unit of the differences, and how well it is known.

    `rounds`: how many differences it rests on; between two groups of values, as many as would have its error.
    `own_variance`: of these alone; `standard_error` and `degrees_of_freedom`: after moderation.
    """

    mean: float
    standard_error: float
    degrees_of_freedom: float
    own_variance: float
    rounds: float


@dataclass(frozen=True, slots=True)
class _Prior:
    """What the others say of a comparison's variance: its logarithm, and with how many degrees of freedom.

    `common`: how far that depends on the comparison's own rounds: the correlation with its own log-variance.
    """

    log_variance: Mapping[Key, float]
    degrees_of_freedom: float
    common: float = 0.0


@dataclass(frozen=True, slots=True)
class _Logs:
    """The log-variances of comparisons; `noise`: the sampling variance that such a logarithm has on average."""

    of: Mapping[Key, float]
    noise: float


def estimate_differences(
    differences: Mapping[Key, Sequence[float]],
    earlier: Sequence[Mapping[Key, Sequence[float]]] = (),
    resolution: float = 0.0,
) -> dict[Key, Estimate]:
    """The estimates of a metric's comparisons in one run, with moderated variances.

    Args:
        differences: of two dataplanes, one value a round in which both were measured. A comparison with fewer than two
            has no spread to judge by, and no estimate.
        earlier: the same of comparable earlier nights, which say how the noise is spread over the comparisons.
        resolution: the standard deviation below which equal values are a matter of rounding, in the differences' unit.
    """
    own = {key: own_estimate(values, resolution) for key, values in differences.items() if len(values) >= ENOUGH}
    if len(own) < 2:  # noqa: PLR2004 - there is no other
        return own
    logs = _logs(own)
    known = [
        {key: own_estimate(night[key], resolution) for key in own if len(night.get(key, ())) >= ENOUGH}
        for night in earlier
    ]
    nights = [_logs(night) for night in known if night.keys() == own.keys()]
    prior = _prior_of_nights(logs, nights) if nights else _prior_of_run(logs)
    return _moderated(own, prior)


def estimate_groups(
    groups: Mapping[Key, tuple[Sequence[float], Sequence[float]]], resolution: float = 0.0
) -> dict[Key, Estimate]:
    """The estimates of a metric's differences between two groups of independent values, with moderated variances.

    At least one group has two values or more. The variance is that inside the groups, taken to be the same in both.
    """
    own = {key: group_estimate(*values, resolution) for key, values in groups.items()}
    if len(own) < 2:  # noqa: PLR2004 - there is no other
        return own
    return _moderated(own, _prior_of_run(_logs(own)))


def _moderated(estimates: Mapping[Key, Estimate], prior: _Prior) -> dict[Key, Estimate]:
    found = {}
    for key, own in estimates.items():
        freedom = prior.degrees_of_freedom + own.degrees_of_freedom
        total = prior.degrees_of_freedom * math.exp(prior.log_variance[key]) + own.degrees_of_freedom * own.own_variance
        error = math.sqrt(total / freedom / own.rounds)
        freedom /= 1 + 2 * prior.common * prior.degrees_of_freedom / freedom
        found[key] = replace(own, standard_error=error, degrees_of_freedom=freedom)
    return found


def own_estimate(differences: Sequence[float], resolution: float) -> Estimate:
    """The estimate of a comparison by its own rounds alone, of which there are two or more."""
    variance = max(_variance(differences), resolution**2, _LEAST_VARIANCE)
    rounds = len(differences)
    return Estimate(fmean(differences), math.sqrt(variance / rounds), rounds - 1.0, variance, rounds)


def group_estimate(first: Sequence[float], second: Sequence[float], resolution: float) -> Estimate:
    """The second group's mean less the first's, by the values of both groups alone."""
    means, freedom = (fmean(first), fmean(second)), len(first) + len(second) - 2
    squares = sum((value - mean) ** 2 for group, mean in zip((first, second), means, strict=True) for value in group)
    variance = max(squares / freedom, resolution**2, _LEAST_VARIANCE)
    rounds = 1 / (1 / len(first) + 1 / len(second))
    return Estimate(means[1] - means[0], math.sqrt(variance / rounds), float(freedom), variance, rounds)


def _variance(values: Sequence[float]) -> float:
    """As `statistics.variance`, which takes fifty times as long."""
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def log_variance(variance: float, degrees_of_freedom: float) -> float:
    """The logarithm of a sample variance, less its bias: its mean is the logarithm of the true variance."""
    return math.log(variance) - float(special.digamma(degrees_of_freedom / 2)) + math.log(degrees_of_freedom / 2)


def _logs(estimates: Mapping[Key, Estimate]) -> _Logs:
    logs = {key: log_variance(one.own_variance, one.degrees_of_freedom) for key, one in estimates.items()}
    return _Logs(logs, fmean([trigamma(one.degrees_of_freedom / 2) for one in estimates.values()]))


def _independent(keys: Sequence[Key]) -> float:
    """As how many independent comparisons these count, since some share a dataplane."""
    cells: dict[Hashable, list[tuple[str, str]]] = defaultdict(list)
    for cell, pair in keys:
        cells[cell].append(pair)
    sharing = sum(
        one != two and not {*one}.isdisjoint(two) for pairs in cells.values() for one in pairs for two in pairs
    )
    return max(2.0, len(keys) / (1 + _SHARED_NOISE * sharing / len(keys)))


def _prior_of_run(logs: _Logs) -> _Prior:
    """From the comparisons of this run alone."""
    count, mean, noise = len(logs.of), fmean([*logs.of.values()]), logs.noise
    cells: dict[Hashable, list[Key]] = defaultdict(list)
    for key in logs.of:
        cells[key[0]].append(key)
    if len(cells) == 1:
        return _Prior(dict.fromkeys(logs.of, mean), 0.0)
    independent = _independent([*logs.of])
    if len(cells) == count:  # two dataplanes: no comparison shares a cell with another
        spread = max(_median(_variance([*logs.of.values()]), independent - 1) - noise, 0.0)
        return _Prior(dict.fromkeys(logs.of, mean), freedom_of(spread + noise / independent))
    per_cell = count / len(cells)
    means = {cell: fmean([logs.of[key] for key in keys]) for cell, keys in cells.items()}
    inner = count - len(cells)
    seen = _median(sum((value - means[key[0]]) ** 2 for key, value in logs.of.items()) / inner, inner)
    within = max(seen - _SPREAD_INSIDE * noise, 0.0)
    correlation = min(max(1 - seen / (noise + within), _LEAST_CORRELATION), 1.0)
    of_others = (noise + within) * (1 + (per_cell - 2) * correlation) / (per_cell - 1)
    of_cell = (noise + within) * (1 + (per_cell - 1) * correlation) / per_cell
    between = max(_median(_variance([*means.values()]), len(cells) - 1) - of_cell, 0.0)
    weight = between / (between + of_others)
    prior = {}
    for key in logs.of:
        others = [logs.of[other] for other in cells[key[0]] if other != key]
        prior[key] = weight * fmean(others) + (1 - weight) * mean if others else mean
    freedom = freedom_of(within + min(between, of_others) + noise / independent)
    return _Prior(prior, freedom, weight * correlation)


def _prior_of_nights(logs: _Logs, nights: Sequence[_Logs]) -> _Prior:
    """From how the noise was spread over the same comparisons in earlier nights, at tonight's level of noise."""
    count, past, keys = len(logs.of), len(nights), list(logs.of)
    noise = fmean([night.noise for night in (*nights, logs)])
    table = np.array([[night.of[key] for key in keys] for night in (*nights, logs)])
    relative = table - table.mean(axis=1, keepdims=True)
    habitual = relative[:-1].mean(axis=0)
    centre = relative.mean(axis=0)
    independent = _independent(keys)
    seen = float(((relative - centre) ** 2).sum()) / (past * (count - 1))
    nightly = max(_median(seen, past * (independent - 1)) - noise, 0.0)
    lasting = max(_median(float(centre.var(ddof=1)), independent - 1) - (noise + nightly) / (past + 1), 0.0)
    weight = lasting / (lasting + (noise + nightly) / past)
    mean = fmean([*logs.of.values()])
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


def _median(variance: float, degrees_of_freedom: float) -> float:
    """The true variance, of which an estimate with these degrees of freedom is as often above this as below it."""
    return variance * degrees_of_freedom / (2 * float(special.gammaincinv(degrees_of_freedom / 2, 0.5)))
