"""One dataplane against the baseline, on one path, by one metric: the figures, the verdict and the sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from analysis import formatting
from analysis.domain import Cell
from analysis.flags import NO_DOUBT, FlagEffect
from analysis.metric import ComparedMetric
from analysis.stats import intervals
from analysis.stats.intervals import Difference, as_share
from analysis.stats.path_metric import PathMetric, path_metric_fields

Verdict = Literal["higher", "lower", "no-difference", "cannot-tell"]

BLIND: Final = 0.5
"""A run that can't detect a difference of half the baseline's value reports that it can't tell."""

HOPELESS: Final = 10.0
"""A detectable effect beyond a tenfold difference is not printed."""


@dataclass(frozen=True, slots=True)
class Comparison(PathMetric):
    """A dataplane against the baseline in one cell.

    Attributes:
        baseline: the baseline's name.
        dataplane: the dataplane's name.
        verdict: the outcome of the test.
        rounds: how many differences the interval rests on.
        baseline_value: the baseline's mean over visits, in `unit`; like all that follow None where it is unknown.
        value: the dataplane's mean over visits, in `unit`.
        change: the difference (scale ratio: 0.72 is 72 % more; scale points: in `unit`).
        low: the lower end of its 95 % interval.
        high: the upper end.
        p: the two-sided p-value.
        p_adjusted: after Holm's correction over the run's comparisons by this metric.
        smallest_effect: the smallest change found with 80 % power at the corrected level, on the scale of `change`.
        method: how the difference was computed.
        reason: why the verdict is `cannot-tell`.
        doubt: the effect of flags on the dataplane's value.
        baseline_doubt: the effect of flags on the baseline's value.
    """

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
        """The effect of flags on both sides together."""
        return self.baseline_doubt + self.doubt

    @property
    def found(self) -> bool:
        """Whether there is a difference beyond chance."""
        return self.verdict in {"higher", "lower"}

    @property
    def gain(self) -> bool | None:
        """Whether the difference is an improvement; None where none was found."""
        return self.verdict == self.better if self.found else None

    @property
    def figures(self) -> str:
        """The two means: `3.02 → 5.21 Gbit/s`."""
        if self.baseline_value is None or self.value is None:
            return ""
        return self.transition_text(self.baseline_value, self.value)

    @property
    def estimate(self) -> str:
        """The difference and its interval, with a mark where flagged trials matter: `+72 % [65, 80]†`."""
        if self.change is None or self.low is None or self.high is None:
            return ""
        return self.change_text(self.change, self.low, self.high) + self.doubts.mark

    @property
    def answer(self) -> str:
        """The result in a few words: the difference, or that none was found and which would have been."""
        flagged = f"; {self.doubts.sentence}" if self.doubts.mark else ""
        if self.verdict == "cannot-tell":
            return f"can't tell: {self.reason}{flagged}"
        if self.found:
            return f"{self.estimate}{flagged}"
        return f"no difference seen: {self.estimate} ({self.sight}){flagged}"

    @property
    def sight(self) -> str:
        """The smallest difference that this run would have found, in words."""
        if self.smallest_effect is None:
            return ""
        return f"would have seen {formatting.percent_rounded_up(self.smallest_effect)}{self.points}"

    @property
    def sentence(self) -> str:
        """The whole: `pod-to-service tcp: lab-ebpf 3.02 → 5.21 Gbit/s, +72 % [65, 80]`."""
        figures = f" {self.figures}" if self.figures else ""
        return f"{self.where}: {self.dataplane}{figures}, {self.answer}"


@dataclass(frozen=True, slots=True)
class _Side:
    """One dataplane in one cell: a value for each round, and the effect of flags on them."""

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
    """Every comparison of a run by one metric: the family whose error rate is kept at 5 %.

    Args:
        metric: the metric.
        cells: the cells that have the metric, each with the name of its path.
        baseline: the dataplane with which all others are compared.
        others: the other dataplanes.
        visits: the visit means: (cell, dataplane) -> round -> value, in the metric's unit.
        doubts: the effect of flags on the visit means: (cell, dataplane) -> effect.
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
        **path_metric_fields(metric, cell, path),
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
        change, low, high, effect = (as_share(v) for v in (found.estimate, found.low, found.high, effect))
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
