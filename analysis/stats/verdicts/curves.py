"""How the figures of each dataplane move with the scale: its curves, and from where on they move. Pure.

A visit goes through all scales, so a difference between two scales is taken inside a visit, as one between dataplanes
is inside a round: what a switch did to the visit, and drift from round to round, fall out. The differences are those to
the smallest scale of the curve, with moderated variances (`estimates.moderation`). All intervals of a run's curves
hold together in 95 % of runs. So does what follows from them: from which scale on a figure surely differs, and until
which it is the same within the margin. That needs no model of a curve's shape, which is one for a chain of rules and
another for a map.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from analysis.domain import FACTORS, Cell, Factor
from analysis.flags import NO_DOUBT, FlagEffect
from analysis.metrics.metric import ComparedMetric, ValueScale
from analysis.stats import scales
from analysis.stats.estimates import moderation
from analysis.stats.estimates.differences import Differences, Values, differences
from analysis.stats.estimates.estimation import estimate_all
from analysis.stats.estimates.margins import is_within, margin_on
from analysis.stats.path_metric import PathMetric, path_metric_fields
from analysis.stats.run import StoredRun
from analysis.stats.verdicts.judgement import (
    FAMILY_ERROR,
    MetricFigures,
    Plan,
    interval_of,
    mean_of,
    order_of_rounds,
)

_LEADING_WEIGHT: Final = 4.0
"""Of a curve by a leading metric in the error of the family, by that of another."""

_WITH_SERVICES: Final = frozenset(factor.column for factor in FACTORS if factor.of_services)
"""Factors of the unused Services, which mean nothing where there are none."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A figure at one scale of a curve.

    Attributes:
        at: how much of the factor.
        value: the mean over visits, in the metric's unit; None: not measured.
        change: from the first point, as a share, or points; like its interval None at the first point, and where too
            few visits have both.
        low, high: the ends of its interval.
        visits: in how many both were measured.
        doubt: the effect of flags on `value`.
        reason: why there is no interval.
    """

    at: float
    value: float | None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    visits: int = 0
    doubt: FlagEffect = NO_DOUBT
    reason: str | None = None

    def direction(self, margin: float, scale: ValueScale) -> int:
        """1 or -1 where it surely differs from the first point, perhaps by more than the margin; else 0."""
        if self.low is None or self.high is None or self.is_same(margin, scale):
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    def is_same(self, margin: float, scale: ValueScale) -> bool:
        """Whether it is surely the same as the first point within the margin."""
        return self.low is not None and self.high is not None and is_within(self.low, self.high, margin, scale)


@dataclass(frozen=True, slots=True)
class Bend:
    """Where a curve leaves its first value: up, or down.

    `since`: the smallest value of the factor from which on every measured one surely differs, to the same side.
    `until`: the largest one below it up to which all are the same within the margin.
    """

    since: float
    until: float
    rises: bool


@dataclass(frozen=True, slots=True)
class Curve(PathMetric):
    """A figure of one dataplane along one factor, the others fixed. The scale of its path is that of its first point.

    `factor`: its column. `fixed`: what is fixed of the other factors that vary in the run, in words; empty: no other
    varies. `margin_ratio`: how much counts as the same, on the scale of the changes. `values`: the smallest first.
    """

    dataplane: str
    factor: str
    fixed: str
    margin_ratio: float
    values: tuple[CurvePoint, ...]

    @property
    def along(self) -> Factor:
        """The entry of the factor."""
        return next(factor for factor in FACTORS if factor.column == self.factor)

    @property
    def last(self) -> CurvePoint:
        """The point at the largest scale."""
        return self.values[-1]

    @property
    def doubts(self) -> FlagEffect:
        """The effect of flags on its ends together."""
        return self.values[0].doubt + self.last.doubt

    @property
    def bend(self) -> Bend | None:
        """Where it leaves its first value; None: nowhere, as far as can be told."""
        ways = [point.direction(self.margin_ratio, self.scale) for point in self.values]
        last = len(ways) - 1
        if ways[last] == 0:
            return None
        since = last
        while ways[since - 1] == ways[last]:
            since -= 1
        until = 0
        while until + 1 < since and self.values[until + 1].is_same(self.margin_ratio, self.scale):
            until += 1
        return Bend(self.values[since].at, self.values[until].at, rises=ways[last] > 0)


@dataclass(frozen=True, slots=True)
class _Sweep:
    """The cells of one path along one factor."""

    factor: Factor
    fixed: str
    cells: tuple[Cell, ...]


@dataclass(slots=True)
class _Draft:
    """A curve without its intervals. `found`: the differences of its points to the first, by their place."""

    metric: ComparedMetric
    curve: Curve
    found: dict[int, Differences]

    def key(self, place: int) -> moderation.Key:
        """The noise of a curve's points is compared with that of its other points first: it may be the dataplane's."""
        to = f"{self.curve.factor} {self.curve.values[place].at} {self.curve.fixed}"
        return (self.curve.cell, self.curve.dataplane), ("first", to)


def find_curves(about: StoredRun, figures: Sequence[MetricFigures], plan: Plan) -> tuple[Curve, ...]:
    """The curves of a run, in the order of metrics, paths and dataplanes; none where it has one scale."""
    drafts: list[_Draft] = []
    estimates: list[dict[moderation.Key, moderation.Estimate]] = []
    order = order_of_rounds(figures, plan.runs) if plan.looks else None
    for one in figures:
        if one.metric.curve:
            own = list(_drafts(about, one, plan))
            found = {draft.key(place): each for draft in own for place, each in draft.found.items()}
            drafts += own
            estimates += [estimate_all(found, [], one.metric.resolution, order)] * len(own)
    levels = _levels(drafts)
    return tuple(_judged(draft, known, levels, plan) for draft, known in zip(drafts, estimates, strict=True))


def _sweeps(cells: Iterable[Cell]) -> Iterator[_Sweep]:
    """The sweeps of each path along each factor that varies there, the other factors being fixed."""
    paths: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        paths.setdefault(cell.unscaled, []).append(cell)
    for own in paths.values():
        factors = scales.varied(cell.scale for cell in own)
        for factor in factors:
            others = [other for other in factors if other is not factor]
            lines: dict[tuple[float, ...], dict[float, Cell]] = {}
            for cell in own:
                fixed = tuple(scales.value_of(cell.scale, other) for other in others)
                lines.setdefault(fixed, {})[scales.value_of(cell.scale, factor)] = cell
            if factor.column == "services":
                lines = _with_none(lines, others)
            for line in lines.values():
                if len(line) > 1:
                    ordered = tuple(line[value] for value in sorted(line))
                    yield _Sweep(factor, scales.describe(ordered[-1].scale, others), ordered)


def _with_none(
    lines: Mapping[tuple[float, ...], dict[float, Cell]], others: Sequence[Factor]
) -> dict[tuple[float, ...], dict[float, Cell]]:
    """Lines along the number of Services: no Services at all begin the lines of any number of endpoints."""
    mattering = [place for place, other in enumerate(others) if other.column not in _WITH_SERVICES]
    none = {tuple(fixed[place] for place in mattering): line[0.0] for fixed, line in lines.items() if 0.0 in line}
    found = {}
    for fixed, line in lines.items():
        first = none.get(tuple(fixed[place] for place in mattering))
        found[fixed] = ({0.0: first} if first is not None else {}) | line
    return found


def _drafts(about: StoredRun, figures: MetricFigures, plan: Plan) -> Iterator[_Draft]:
    metric = figures.metric
    margin = margin_on(metric.scale, plan.margin_ratio)
    for sweep in _sweeps(figures.cells):
        first = sweep.cells[0]
        fields = path_metric_fields(metric, first, about.unscaled_path(first, metric.title))
        for arm in about.arms:
            values = [figures.visits.get((cell, arm.name), {}) for cell in sweep.cells]
            if not any(values):
                continue
            points: list[CurvePoint] = []
            found: dict[int, Differences] = {}
            for place, (cell, own) in enumerate(zip(sweep.cells, values, strict=True)):
                at = scales.value_of(cell.scale, sweep.factor)
                doubt = figures.doubts.get((cell, arm.name), NO_DOUBT)
                point = CurvePoint(at, mean_of(metric, own), visits=len(own.keys() & values[0].keys()), doubt=doubt)
                if place:
                    names = [scales.amount(sweep.factor, value) for value in (points[0].at, at)]
                    difference = _difference(metric, values[0], own, names)
                    if isinstance(difference, str):
                        point = replace(point, reason=difference)
                    else:
                        found[place] = difference
                points.append(point)
            curve = Curve(
                **fields,
                dataplane=arm.name,
                factor=sweep.factor.column,
                fixed=sweep.fixed,
                margin_ratio=margin,
                values=tuple(points),
            )
            yield _Draft(metric, curve, found)


def _difference(metric: ComparedMetric, one: Values, two: Values, names: Sequence[str]) -> Differences | str:
    missing = [name for name, values in zip(names, (one, two), strict=True) if not values]
    return f"no visit was measured at {missing[0]}" if missing else differences(metric, one, two, names)


def _levels(drafts: Sequence[_Draft]) -> dict[bool, float]:
    """The error of an interval by whether its metric leads (Bonferroni between the two groups, Sidak inside)."""
    counts = Counter(draft.metric.has_first_curve for draft in drafts for _ in draft.found)
    weights = {leads: _LEADING_WEIGHT if leads else 1.0 for leads in counts}
    shares = {leads: FAMILY_ERROR * weight / sum(weights.values()) for leads, weight in weights.items()}
    return {leads: -math.expm1(math.log1p(-shares[leads]) / count) for leads, count in counts.items()}


def _judged(
    draft: _Draft, known: Mapping[moderation.Key, moderation.Estimate], levels: Mapping[bool, float], plan: Plan
) -> Curve:
    points = list(draft.curve.values)
    for place, found in draft.found.items():
        level = plan.level_after(levels[draft.metric.has_first_curve], points[place].visits)
        change, low, high = interval_of(found, known[draft.key(place)], level)
        points[place] = replace(points[place], change=change, low=low, high=high)
    return replace(draft.curve, values=tuple(points))
