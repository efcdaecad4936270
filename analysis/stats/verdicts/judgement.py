"""All comparisons of a run, judged together. Pure.

The comparisons that a reader may quote side by side are one family: in 95 % of runs all their intervals hold the truth
together, so that one chosen from them holds it as well. The family's error is shared out between groups by their weight
(Bonferroni), and inside a group equally (Sidak, JASA 62, 1967: the probability that all hold is at least the product).
The same levels serve where the baseline is noisier than the others, which makes differences to it depend on each other
more than Dunnett's procedure (JASA 50, 1955) allows for.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from analysis import formatting
from analysis.domain import FIRST_LOOK, MARGIN_RATIO, Cell
from analysis.flags import NO_DOUBT, FlagEffect
from analysis.metrics.metric import ComparedMetric
from analysis.stats.estimates import moderation, sequential
from analysis.stats.estimates.differences import Block, Differences, Values, differences
from analysis.stats.estimates.estimation import estimate_all
from analysis.stats.estimates.intervals import standard_errors, two_sided_p
from analysis.stats.estimates.margins import is_within, margin_on
from analysis.stats.path_metric import path_metric_fields
from analysis.stats.verdicts.comparison import Comparison, Verdict

FAMILY_ERROR: Final = 0.05
"""In how many runs at most an interval of a family misses the truth."""

CONTINUED_ERROR: Final = 0.07
"""The same of a run that continues others, which were continued because they were undecided: each has spent an error of
its own. 5.3 to 7.0 % of simulated chains of up to six runs end with an interval that misses the truth."""

SHARES: Final = "95 % of runs, or 93 % of runs that continue another"
"""In how many all intervals of a family hold the truth together, for texts that are the same for all runs."""

_LEADING, _BESIDE = 6.0, 1.5
_BETWEEN_OTHERS: Final = 1 / 3
"""The weight of comparisons between other dataplanes, by that of comparisons with the baseline."""

CellOfArm = tuple[Cell, str]
"""A cell, and a dataplane."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run was planned, as far as its verdicts depend on it.

    `most_rounds`: the most that it might have had, where it looked after each; None where it could not stop early.
    `margin_ratio`: how much counts as the same. `runs`: those whose rounds are judged together, in the order of time.
    """

    most_rounds: int | None = None
    margin_ratio: float = MARGIN_RATIO
    runs: tuple[str, ...] = ()

    @property
    def looks(self) -> bool:
        """Whether the run looked after a round, and might have stopped."""
        return self.most_rounds is not None and self.most_rounds > FIRST_LOOK

    @property
    def error(self) -> float:
        """In how many such runs at most an interval of a family misses the truth, by what is claimed."""
        return CONTINUED_ERROR if len(self.runs) > 1 else FAMILY_ERROR

    def level_after(self, error: float, rounds: int) -> float:
        """The level of an interval that may miss the truth in so many runs, in a run that has so many rounds so far."""
        return error if self.most_rounds is None else sequential.level_after(error, rounds, self.most_rounds)


@dataclass(frozen=True, slots=True)
class MetricFigures:
    """A metric's figures in a run.

    Attributes:
        cells: the cells that have it, each with the name of its path.
        visits: the visit means in the metric's unit, by round: (cell, dataplane) -> round -> value.
        doubts: the effect of flags on them: (cell, dataplane) -> effect.
        earlier: `visits` of comparable earlier nights, which know how the noise is spread over the comparisons.
    """

    metric: ComparedMetric
    cells: Mapping[Cell, str]
    visits: Mapping[CellOfArm, Values]
    doubts: Mapping[CellOfArm, FlagEffect] = field(default_factory=dict)
    earlier: Sequence[Mapping[CellOfArm, Values]] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """Comparisons whose intervals hold together: by which metrics, and how many of them are with the baseline.

    `error`: in how many runs at most an interval misses the truth, by chance.
    """

    metrics: tuple[str, ...]
    against_baseline: int
    between_others: int
    error: float = FAMILY_ERROR

    @property
    def sentence(self) -> str:
        """The family in words."""
        total = self.against_baseline + self.between_others
        between = f" ({self.between_others} of them without the baseline)" if self.between_others else ""
        return (
            f"In {formatting.percent(1 - self.error, sign=False)} of runs {formatting.count(total, 'interval')} hold "
            f"together: those of {formatting.listing([*self.metrics])}{between}."
        )


@dataclass(frozen=True, slots=True)
class FamilyMember:
    """An interval that shares an error with others. `measured`: whether both sides have a value at all."""

    metric: ComparedMetric
    with_baseline: bool
    measured: bool

    @property
    def group(self) -> tuple[bool, bool]:
        """Whether the metric leads, and whether it is with the baseline."""
        return self.metric.leads, self.with_baseline


@dataclass(frozen=True, slots=True)
class _Draft(FamilyMember):
    """A comparison without its verdict."""

    comparison: Comparison
    found: Differences | None = None
    estimate: moderation.Estimate | None = None

    @property
    def key(self) -> tuple[Cell, tuple[str, str]]:
        c = self.comparison
        return c.cell, (c.baseline, c.dataplane)


def compare_run(
    figures: Sequence[MetricFigures], dataplanes: Sequence[str], plan: Plan
) -> tuple[tuple[Comparison, ...], tuple[Family, ...]]:
    """Compare all dataplanes of a run, the baseline first, with each other by all metrics.

    Returns:
        The comparisons in the order of metrics, paths and dataplanes; and their families, the quoted first.
    """
    drafts: list[_Draft] = []
    order = order_of_rounds(figures, plan.runs) if plan.looks else None
    for one in figures:
        own = list(_drafts(one, dataplanes, plan))
        known = _estimates(one, own, order)
        drafts += [replace(draft, estimate=known.get(draft.key)) for draft in own]
    error, families = error_shares(drafts)
    judged = tuple(_judged(draft, error, plan) for draft in drafts)
    return judged, tuple(replace(family, error=plan.error) for family in families)


def order_of_rounds(figures: Sequence[MetricFigures], runs: Sequence[str]) -> dict[Block, int]:
    """The place of each round in time."""
    blocks = {block for one in figures for values in one.visits.values() for block in values}
    places = {name: place for place, name in enumerate(runs)}
    return {block: n for n, block in enumerate(sorted(blocks, key=lambda b: (places.get(b[0], 0), b[1])))}


def _drafts(figures: MetricFigures, dataplanes: Sequence[str], plan: Plan) -> Iterator[_Draft]:
    metric = figures.metric
    margin = margin_on(metric.scale, plan.margin_ratio)
    for cell, path in figures.cells.items():
        fields = path_metric_fields(metric, cell, path)
        sides = {name: figures.visits.get((cell, name), {}) for name in dataplanes}
        doubts = {name: figures.doubts.get((cell, name), NO_DOUBT) for name in dataplanes}
        for place, baseline in enumerate(dataplanes):
            for other in dataplanes[place + 1 :]:
                one, two = sides[baseline], sides[other]
                draft = Comparison(
                    **fields,
                    baseline=baseline,
                    dataplane=other,
                    verdict="undecided",
                    rounds=len(one.keys() & two.keys()),
                    margin_ratio=margin,
                    against_baseline=place == 0,
                    baseline_value=mean_of(metric, one),
                    value=mean_of(metric, two),
                    doubt=doubts[other],
                    baseline_doubt=doubts[baseline],
                )
                missing = [name for name in (baseline, other) if not sides[name]]
                if missing:
                    kind = "usable" if doubts[missing[0]].left_out else "measured"
                    found: Differences | str = f"{missing[0]} has no {kind} visit here"
                else:
                    found = differences(metric, one, two, (baseline, other))
                if isinstance(found, str):
                    yield _Draft(metric, place == 0, not missing, replace(draft, reason=found))
                else:
                    baseline_value, value = found.means
                    draft = replace(draft, baseline_value=baseline_value, value=value)
                    yield _Draft(metric, place == 0, not missing, draft, found)


def mean_of(metric: ComparedMetric, values: Values) -> float | None:
    """The mean over visits: geometric on a ratio scale, as the comparison is, unless a value is zero."""
    if not values:
        return None
    is_geometric = metric.scale == "ratio" and min(values.values()) > 0
    return (statistics.geometric_mean if is_geometric else statistics.fmean)(values.values())


def _estimates(
    figures: MetricFigures, drafts: Sequence[_Draft], order: Mapping[Block, int] | None
) -> dict[moderation.Key, moderation.Estimate]:
    estimates: dict[moderation.Key, moderation.Estimate] = {}
    for with_baseline in (True, False):
        own = {d.key: d.found for d in drafts if d.found and d.with_baseline == with_baseline}
        found: dict[moderation.Key, Differences] = dict(own.items())
        earlier = [_night(figures, night, own) for night in figures.earlier]
        estimates |= estimate_all(found, earlier, figures.metric.resolution, order)
    return estimates


def _night(
    figures: MetricFigures, night: Mapping[CellOfArm, Values], wanted: Iterable[tuple[Cell, tuple[str, str]]]
) -> dict[moderation.Key, Differences]:
    """The differences of an earlier night in these comparisons, as far as it has them."""
    found: dict[moderation.Key, Differences] = {}
    for key in wanted:
        cell, names = key
        own = differences(figures.metric, night.get((cell, names[0]), {}), night.get((cell, names[1]), {}), names)
        if isinstance(own, Differences):
            found[key] = own
    return found


def error_shares(
    drafts: Iterable[FamilyMember],
) -> tuple[dict[tuple[str, tuple[bool, bool]], float], tuple[Family, ...]]:
    """The error of a comparison by its family and group, and the families."""
    counts: dict[str, dict[tuple[bool, bool], int]] = defaultdict(lambda: defaultdict(int))
    titles: dict[str, dict[str, None]] = defaultdict(dict)
    for draft in drafts:
        if draft.measured:
            counts[draft.metric.family][draft.group] += 1
            titles[draft.metric.family][draft.metric.title] = None
    error, families = {}, []
    for family, groups in sorted(counts.items()):
        weights = {
            (leads, base): (_LEADING if leads else _BESIDE) * (1 if base else _BETWEEN_OTHERS) for leads, base in groups
        }
        for group, count in groups.items():
            share = FAMILY_ERROR * weights[group] / sum(weights.values())
            error[family, group] = -math.expm1(math.log1p(-share) / count)
        against = sum(count for (_, base), count in groups.items() if base)
        families.append(Family(tuple(titles[family]), against, sum(groups.values()) - against))
    return error, tuple(families)


def interval_of(found: Differences, estimate: moderation.Estimate, level: float) -> tuple[float, float, float]:
    """A difference and its interval at this two-sided level, as a reader sees them."""
    limit = standard_errors(level, estimate.degrees_of_freedom)
    return found.interval(estimate.mean, limit * estimate.standard_error, limit)


def _judged(draft: _Draft, error: Mapping[tuple[str, tuple[bool, bool]], float], plan: Plan) -> Comparison:
    found, estimate, comparison = draft.found, draft.estimate, draft.comparison
    if found is None or estimate is None:
        return comparison
    level = plan.level_after(error[draft.metric.family, draft.group], comparison.rounds)
    change, low, high = interval_of(found, estimate, level)
    p = two_sided_p(estimate.mean / estimate.standard_error, estimate.degrees_of_freedom)
    p_adjusted = min(1.0, p * FAMILY_ERROR / level)
    if low <= 0 <= high:  # also where the baseline may be zero, so that no share can be computed
        p_adjusted = max(p_adjusted, FAMILY_ERROR)
    within = is_within(low, high, comparison.margin_ratio, comparison.scale)
    verdict: Verdict = "same" if within else "undecided"
    if low > 0 or high < 0:
        verdict = "higher" if low > 0 else "lower"
    return replace(
        comparison, verdict=verdict, within_margin=within, change=change, low=low, high=high, p_adjusted=p_adjusted
    )
