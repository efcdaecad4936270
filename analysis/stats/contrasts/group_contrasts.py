"""Two groups of runs, A and B, compared figure by figure. Pure.

A dataplane's figure has two readings: itself, and its ratio to the baseline's, taken inside each round, in which the
drift of a machine cancels. Rounds of A and of B are no pairs, so a contrast is the difference of two independent means.
Where a run has a history, or a side has several runs, its error is that of how far nights scatter, which the visits of
one run do not see:

- **several runs a side**: each run is one value, a night; the variance inside the sides is pooled.
- **one run a side, with a history**: the variance of a night about its level, as change detection estimates it
  (`change_points.detection.night_variances`), but never less than what the run's own visits say.
- **one run a side alone**: the visits of each, and a sentence on what that can't exclude.

Variances of relative figures are moderated by those of the others, as inside a run (`estimates.moderation`).
Those of figures themselves are not: drift of the machine is common to all of them, so that the others know no more of
it. The two sides' errors are added by Welch's approximation (Biometrika 34, 1947). All intervals of a family hold
together, with the shares of a run's own verdicts (`verdicts.judgement`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from analysis.domain import Cell
from analysis.flags import NO_DOUBT
from analysis.metrics.metric import ComparedMetric
from analysis.stats.contrasts.contrast import Basis, Contrast
from analysis.stats.contrasts.sides import ALONE, Nights, Side
from analysis.stats.estimates import moderation
from analysis.stats.estimates.intervals import ENOUGH, as_share, standard_errors, two_sided_p
from analysis.stats.estimates.margins import is_within, margin_on
from analysis.stats.estimates.moderation import Estimate, Key
from analysis.stats.path_metric import path_metric_fields
from analysis.stats.verdicts.comparison import Verdict
from analysis.stats.verdicts.judgement import FAMILY_ERROR, Family, FamilyMember, error_shares

_ENOUGH_NIGHTS: Final = 6
"""From so many runs of both sides on, these say more of how nights scatter than the history does."""


@dataclass(frozen=True, slots=True)
class Contrasted:
    """A metric's figures on both sides, and the cells that both have, each with the name of its path."""

    metric: ComparedMetric
    cells: Mapping[Cell, str]
    a: Nights
    b: Nights


@dataclass(frozen=True, slots=True)
class _Draft(FamilyMember):
    """A contrast without its verdict."""

    contrast: Contrast
    estimate: Estimate | None


def contrast_all(
    figures: Sequence[Contrasted], dataplanes: Sequence[str], margin_ratio: float, *, absolute: bool
) -> tuple[tuple[Contrast, ...], tuple[Family, ...]]:
    """All contrasts between A and B, and their families, the quoted first.

    Args:
        figures: one entry a metric.
        dataplanes: those that both sides have, the baseline first.
        margin_ratio: how much counts as the same.
        absolute: whether figures themselves are compared, beside their ratios to the baseline's.
    """
    drafts = [draft for one in figures for draft in _drafts(one, dataplanes, margin_ratio, absolute=absolute)]
    error, families = error_shares(drafts)
    judged = [
        draft.contrast
        if draft.estimate is None
        else _judge(draft.contrast, draft.estimate, error[draft.metric.family, draft.group])
        for draft in drafts
    ]
    return tuple(judged), families


def _drafts(figures: Contrasted, dataplanes: Sequence[str], margin_ratio: float, *, absolute: bool) -> Iterator[_Draft]:
    readings = [(ALONE, name) for name in dataplanes] if absolute else []
    readings += [(dataplanes[0], name) for name in dataplanes[1:]]
    keys = [(cell, reading) for cell in figures.cells for reading in readings]
    sides = [Side(figures.metric, nights, keys) for nights in (figures.a, figures.b)]
    alone, relative = ([key for key in keys if (key[1][0] == ALONE) == is_alone] for is_alone in (True, False))
    found = _estimates(figures.metric, sides, alone, shared=False)
    found |= _estimates(figures.metric, sides, relative, shared=True)
    margin = margin_on(figures.metric.scale, margin_ratio)
    for key in keys:
        cell, (against, dataplane) = key
        measured = all(key in side.values for side in sides)
        estimate, basis = found.get(key, (None, None))
        names = {dataplane} | ({against} if against else set())
        contrast = Contrast(
            **path_metric_fields(figures.metric, cell, figures.cells[cell]),
            dataplane=dataplane,
            against=against or None,
            verdict="undecided",
            margin_ratio=margin,
            runs=(len(sides[0].values.get(key, ())), len(sides[1].values.get(key, ()))),
            visits=(sides[0].count(key), sides[1].count(key)),
            a=sides[0].figure(key),
            b=sides[1].figure(key),
            basis=basis,
            reason=None if estimate else _reason(sides, key),
            doubt=sum((side.doubt(cell, name) for side in sides for name in names), NO_DOUBT),
        )
        if any(cell == place and name in names for side in sides for place, name in side.places):
            yield _Draft(figures.metric, with_baseline=True, measured=measured, contrast=contrast, estimate=estimate)


def _reason(sides: Sequence[Side], key: Key) -> str:
    for name, side in zip("AB", sides, strict=True):
        if reason := side.lacks(key):
            return f"in {name} {reason}"
    few = next(name for name, side in zip("AB", sides, strict=True) if side.count(key) < ENOUGH)
    return f"in {few} one visit leaves no spread to judge by; {ENOUGH} are the least"


def _estimates(
    metric: ComparedMetric,
    sides: Sequence[Side],
    keys: Sequence[Key],
    *,
    shared: bool,
) -> dict[Key, tuple[Estimate, Basis]]:
    """The estimates of the contrasts of one reading that have one; `shared`: by the variances of the others, too."""
    there = [key for key in keys if all(key in side.values for side in sides)]
    by_visits = _by_visits(metric, sides, there, shared=shared)
    groups = {key: (sides[0].means(key), sides[1].means(key)) for key in there if _nights(sides, key) > len(sides)}
    if shared:
        by_nights = moderation.estimate_groups(groups, metric.resolution)
    else:
        by_nights = {key: moderation.group_estimate(*pair, metric.resolution) for key, pair in groups.items()}
    found: dict[Key, tuple[Estimate, Basis]] = {}
    for key in there:
        own = by_nights.get(key)
        usual = _by_history(sides, key, by_visits.get(key))
        if own is not None and (usual is None or _nights(sides, key) >= _ENOUGH_NIGHTS):
            found[key] = own, "nights"
        elif usual is not None:
            found[key] = usual, "history"
        elif key in by_visits:
            found[key] = by_visits[key], "visits"
    return found


def _nights(sides: Sequence[Side], key: Key) -> int:
    return sum(len(side.values[key]) for side in sides)


def _by_visits(
    metric: ComparedMetric, sides: Sequence[Side], keys: Sequence[Key], *, shared: bool
) -> dict[Key, Estimate]:
    """The estimates by the visits alone, of those contrasts that have one run a side with two visits or more."""
    known: list[dict[Key, Estimate]] = []
    for side in sides:
        values = {key: runs[0] for key in keys if len(runs := side.values[key]) == 1 and len(runs[0]) >= ENOUGH}
        if shared:
            known.append(moderation.estimate_differences(values, resolution=metric.resolution))
        else:
            known.append({key: moderation.own_estimate(own, metric.resolution) for key, own in values.items()})
    return {key: _difference(known[0][key], known[1][key]) for key in keys if all(key in side for side in known)}


def _difference(a: Estimate, b: Estimate) -> Estimate:
    """B less A, which are independent."""
    square = a.standard_error**2 + b.standard_error**2
    freedom = square**2 / sum(one.standard_error**4 / one.degrees_of_freedom for one in (a, b))
    rounds = 1 / (1 / a.rounds + 1 / b.rounds)
    return Estimate(b.mean - a.mean, math.sqrt(square), freedom, square * rounds, rounds)


def _by_history(sides: Sequence[Side], key: Key, by_visits: Estimate | None) -> Estimate | None:
    """The estimate by how far nights scatter; None where that is not known of both sides.

    Nights of one environment that were measured alike know it for those that were measured differently.
    """
    a, b = (side.scatter.get(key) for side in sides)
    if a is None or b is None:
        return None
    means = [side.means(key) for side in sides]
    shares = [(variance / len(own), freedom) for (variance, freedom), own in zip((a, b), means, strict=True)]
    square = sum(share for share, _ in shares)
    # the two are usually one history, which counts once
    freedom = a[1] if a == b else square**2 / sum(share**2 / own for share, own in shares)
    rounds = 1 / sum(1 / len(own) for own in means)
    error = math.sqrt(square)
    if by_visits is not None and by_visits.standard_error > error:
        error, freedom = by_visits.standard_error, min(freedom, by_visits.degrees_of_freedom)
    return Estimate(fmean(means[1]) - fmean(means[0]), error, freedom, square * rounds, rounds)


def _judge(draft: Contrast, estimate: Estimate, level: float) -> Contrast:
    shown = as_share if draft.scale == "ratio" else float
    limit = standard_errors(level, estimate.degrees_of_freedom) * estimate.standard_error
    low, high = shown(estimate.mean - limit), shown(estimate.mean + limit)
    p = two_sided_p(estimate.mean / estimate.standard_error, estimate.degrees_of_freedom)
    within = is_within(low, high, draft.margin_ratio, draft.scale)
    verdict: Verdict = "higher" if low > 0 else "lower" if high < 0 else "same" if within else "undecided"
    adjusted = min(1.0, p * FAMILY_ERROR / level)
    return replace(draft, verdict=verdict, change=shown(estimate.mean), low=low, high=high, p_adjusted=adjusted)
