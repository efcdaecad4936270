"""One dataplane against the baseline, on one path, by one metric: the figures, the verdict and the sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from analysis import formatting
from analysis.domain import Cell
from analysis.flags import NO_DOUBT, FlagEffect
from analysis.metric import ComparedMetric, Scale, shown_unit
from analysis.stats import intervals
from analysis.stats.intervals import Difference
from analysis.stats.metrics import THROUGHPUT

Verdict = Literal["higher", "lower", "no-difference", "cannot-tell"]

BLIND: Final = 0.5
"""A run that would have missed a difference of half the baseline's value has not looked: it says that it can't tell."""

HOPELESS: Final = 10.0
"""Beyond a tenfold difference, how much a run would have missed is no figure worth printing."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A dataplane against the baseline in one cell.

    `baseline_value`, `value`: means over visits, in `unit`. `change`, `low`, `high`: the difference and its 95 %
    interval (scale ratio: 0.72 is 72 % more; scale points: in the metric's own unit). `p_adjusted`: Holm's, over the
    run's comparisons by this metric. `smallest_effect`: the smallest change found with 80 % power at the corrected
    level, as a share (ratio) or in the metric's unit (points). `rounds`: how many differences the interval rests on.
    All are None where there is nothing to compute them from; `reason` then says why. `doubt`, `baseline_doubt`: what
    flags did to the dataplane's and to the baseline's figures.
    """

    metric: str
    metric_title: str
    unit: str
    scale: Scale
    better: Literal["higher", "lower"]
    topology: str
    tool: str
    transport: str
    direction: str
    path: str
    baseline: str
    dataplane: str
    verdict: Verdict
    rounds: int
    baseline_value: float | None = None
    value: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    smallest_effect: float | None = None
    method: Literal["paired", "welch"] | None = None
    reason: str | None = None
    doubt: FlagEffect = NO_DOUBT
    baseline_doubt: FlagEffect = NO_DOUBT

    @property
    def doubts(self) -> FlagEffect:
        """What flags did to both sides' figures together."""
        return self.baseline_doubt + self.doubt

    @property
    def found(self) -> bool:
        """Whether there is a difference beyond chance."""
        return self.verdict in {"higher", "lower"}

    @property
    def gain(self) -> bool | None:
        """Whether the difference is what a reader wants; None where none was found."""
        return self.verdict == self.better if self.found else None

    @property
    def figures(self) -> str:
        """The two means: `3.02 → 5.21 Gbit/s`."""
        if self.baseline_value is None or self.value is None:
            return ""
        return formatting.transition(self.baseline_value, self.value, shown_unit(self.unit, self.scale))

    @property
    def estimate(self) -> str:
        """The difference and its interval, with a mark where flagged trials matter: `+72 % [65, 80]†`."""
        if self.change is None or self.low is None or self.high is None:
            return ""
        points = " points" if self.scale == "points" else ""
        return f"{formatting.percent(self.change)}{points} {formatting.interval(self.low, self.high)}{self.doubts.mark}"

    @property
    def answer(self) -> str:
        """What the data say, in a few words: the difference, or that none was seen and what would have been."""
        flagged = f"; {self.doubts.sentence}" if self.doubts.mark else ""
        if self.verdict == "cannot-tell":
            return f"can't tell: {self.reason}{flagged}"
        if self.found:
            return f"{self.estimate}{flagged}"
        return f"no difference seen: {self.estimate} ({self.sight}){flagged}"

    @property
    def sight(self) -> str:
        """The smallest difference this run would have seen, in words."""
        if self.smallest_effect is None:
            return ""
        points = " points" if self.scale == "points" else ""
        return f"would have seen {formatting.percent_rounded_up(self.smallest_effect)}{points}"

    @property
    def sentence(self) -> str:
        """The whole: `pod-to-service tcp: lab-ebpf 3.02 → 5.21 Gbit/s, +72 % [65, 80]`."""
        name = "" if self.metric == THROUGHPUT else f", {self.metric_title}"
        figures = f" {self.figures}" if self.figures else ""
        return f"{self.path}{name}: {self.dataplane}{figures}, {self.answer}"


@dataclass(frozen=True, slots=True)
class _Side:
    """One dataplane in one cell: a value a round, what flags did to it, and what of it can't be used."""

    values: Mapping[int, float]
    doubt: FlagEffect

    def usable(self, metric: ComparedMetric) -> dict[int, float] | None:
        """On the scale of the comparison; None where a value has no logarithm."""
        if metric.scale == "points":
            return dict(self.values)
        if any(value <= 0 for value in self.values.values()):
            return None
        return {block: math.log(value) for block, value in self.values.items()}

    def mean(self, metric: ComparedMetric) -> float | None:
        """The mean over visits: geometric on a ratio scale, as the comparison is."""
        usable = self.usable(metric)
        if not usable:
            return sum(self.values.values()) / len(self.values) if self.values else None
        mean = sum(usable.values()) / len(usable)
        return math.exp(mean) if metric.scale == "ratio" else mean


def compare_all(
    metric: ComparedMetric,
    cells: Mapping[Cell, str],
    baseline: str,
    others: Sequence[str],
    visits: Mapping[tuple[Cell, str], Mapping[int, float]],
    doubts: Mapping[tuple[Cell, str], FlagEffect] | None = None,
) -> list[Comparison]:
    """Every comparison of a run by one metric: the family over which chance is kept at 5 %.

    Args:
        metric: what is compared.
        cells: those that have the metric, each with the name of its path.
        baseline: the dataplane that all others are compared with.
        others: the other dataplanes.
        visits: the visit means: (cell, dataplane) -> round -> value, in the metric's unit.
        doubts: what flags did to the visit means: (cell, dataplane) -> doubt.
    """
    doubts = doubts or {}
    drafts: list[tuple[Comparison, Difference | None]] = []
    for cell, path in cells.items():
        base = _Side(visits.get((cell, baseline), {}), doubts.get((cell, baseline), NO_DOUBT))
        for other in others:
            side = _Side(visits.get((cell, other), {}), doubts.get((cell, other), NO_DOUBT))
            drafts.append(_draft(metric, cell, path, (baseline, base), (other, side)))
    p_values = [d.p for _, d in drafts if d is not None]
    adjusted = intervals.holm(p_values)
    level = intervals.rejected_level(adjusted)
    rest = iter(adjusted)
    return [c if d is None else _judge(c, d, next(rest), level) for c, d in drafts]


def _draft(
    metric: ComparedMetric, cell: Cell, path: str, base: tuple[str, _Side], other: tuple[str, _Side]
) -> tuple[Comparison, Difference | None]:
    means = base[1].mean(metric), other[1].mean(metric)
    draft = Comparison(
        metric=metric.name,
        metric_title=metric.title,
        unit=metric.unit,
        scale=metric.scale,
        better=metric.better,
        **cell._asdict(),
        path=path,
        baseline=base[0],
        dataplane=other[0],
        verdict="cannot-tell",
        rounds=len(base[1].values.keys() & other[1].values.keys()),
        baseline_value=means[0],
        value=means[1],
        doubt=other[1].doubt,
        baseline_doubt=base[1].doubt,
    )
    for name, side in (base, other):
        if not side.values:
            return replace(
                draft, reason=f"{name} has no {'usable' if side.doubt.left_out else 'measured'} visit here"
            ), None
        if side.usable(metric) is None:
            return replace(draft, reason=f"a visit of {name} measured no {metric.title} above zero"), None
    one, two = base[1].usable(metric) or {}, other[1].usable(metric) or {}
    found = intervals.difference(one, two)
    if found is None:
        counts = f"{formatting.count(len(one), 'visit')} of {base[0]} and {len(two)} of {other[0]}"
        return replace(draft, reason=f"{counts} leave no spread to judge by; two rounds are the least"), None
    return draft, found


def _judge(draft: Comparison, found: Difference, p_adjusted: float, level: float) -> Comparison:
    effect = intervals.smallest_effect(found.standard_error, found.degrees_of_freedom, level)
    if draft.scale == "ratio":
        change, low, high, effect = (_as_share(v) for v in (found.estimate, found.low, found.high, effect))
    else:
        change, low, high = found.estimate, found.low, found.high
    judged = replace(
        draft,
        rounds=found.n,
        change=change,
        low=low,
        high=high,
        p=found.p,
        p_adjusted=p_adjusted,
        smallest_effect=effect,
        method=found.method,
    )
    if p_adjusted < intervals.SIGNIFICANCE:
        return replace(judged, verdict="higher" if change > 0 else "lower")
    if effect > BLIND:
        return replace(judged, reason=_blindness(formatting.count(found.n, "round"), effect))
    return replace(judged, verdict="no-difference")


def _blindness(rounds: str, effect: float) -> str:
    if effect > HOPELESS:
        return f"{rounds} would not even have shown a difference of {formatting.percent(HOPELESS, sign=False)}"
    return f"{rounds} would have shown only a difference of {formatting.percent_rounded_up(effect)} or more"


def _as_share(log_ratio: float) -> float:
    try:
        return math.expm1(log_ratio)
    except OverflowError:
        return math.inf
