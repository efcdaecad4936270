"""Changes from night to night over all series of a run, and which of them are regressions. Pure.

`change_points.detection` finds the steps of the series; this module keeps the error rate over all of them, and
classifies each step. Intervals are those of changes that were found, out of many series that might have changed, and
are wider for it (Benjamini and Yekutieli, "False Discovery Rate-Adjusted Multiple Confidence Intervals for Selected
Parameters", JASA 100, 2005). docs/changes.md explains the method to readers of a report.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import numpy as np

from analysis import formatting
from analysis.flags import MARKED
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats.change_points import detection
from analysis.stats.change_points.declines import FIRST, LAST, Drift, is_news
from analysis.stats.change_points.detection import ChangePoint, Levels
from analysis.stats.change_points.step_search import RECENT
from analysis.stats.estimates.intervals import SIGNIFICANCE
from analysis.stats.nights.level_since import LevelSince, levels_since
from analysis.stats.nights.nightly import Series
from analysis.stats.path_metric import PathMetric, path_metric_fields

ChangeStatus = Literal["regression", "standing", "improvement", "small", "suspected", "past"]

LIMIT_RATIO: Final = 0.05
"""A change for the worse by this or more is a regression, unless a run sets another limit."""

SUSPICION_ERROR: Final = 2.0
"""A suspicion fails nothing, and may be wrong so many times as often: in a tenth of runs instead of a twentieth."""

HOPE_ERROR: Final = 0.2
"""The same for an improvement, which is no reason to look at once."""

ALL_OTHERS: Final = 2
"""Where at least so many dataplanes change alike against the baseline, the baseline may be what changed."""


@dataclass(frozen=True, slots=True)
class LevelChange(PathMetric):
    """A step of a series from one level to another.

    Attributes:
        dataplane: whose series it is.
        against: the baseline to which it is relative, if to any.
        status: `regression`: worse by the limit or more, within the last seven nights; `standing`: an older one;
            `improvement`: better by the limit or more; `small`: significant, but within the limit; `suspected`: the
            last night alone is far off; `past`: a later change followed.
        run_id: the first night of the new level.
        began_at: when that night's run began.
        nights_since: that night and all after it.
        before, after: the levels, in `unit`; relative to a baseline as the difference to it (0.62: 62 % more).
        change: the step: a share, or points.
        low, high: the ends of its interval; 95 % of the intervals of a run's changes hold.
        nights_before, nights_after: how many nights the levels rest on.
        p_adjusted: the p-value, corrected for all positions and all series of the run.
        beside: the other differences between that night's provenance and the previous one's.
        nights_flagged: how many of the levels' nights have flagged or left-out trials.
        gradual: whether it came bit by bit: the last week against the first fortnight, and no single night is the step.
    """

    dataplane: str
    against: str | None
    status: ChangeStatus
    run_id: str
    began_at: datetime | None
    nights_since: int
    before: float
    after: float
    change: float
    low: float
    high: float
    nights_before: int
    nights_after: int
    p_adjusted: float
    beside: tuple[str, ...] = ()
    nights_flagged: int = 0
    gradual: bool = False

    @property
    def gain(self) -> bool:
        """Whether it is an improvement."""
        return (self.change > 0) == (self.better == "higher")

    @property
    def night(self) -> str:
        """The date and the run: `the night of 2026-11-20 (run NAME)`."""
        when = f"the night of {self.began_at:%Y-%m-%d}" if self.began_at else "a night of unknown date"
        return f"{when} (run {self.run_id})"

    @property
    def size(self) -> str:
        """The step without its interval, with the mark of flagged trials: `−12 %`."""
        return formatting.percent(self.change) + self.points + self._mark

    @property
    def estimate(self) -> str:
        """The step and its interval: `−12 % [−15, −9]`."""
        return self.change_text(self.change, self.low, self.high) + self._mark

    @property
    def extent(self) -> str:
        """Size and levels: `−12 % [−15, −9], 9.80 → 8.60 Gbit/s`, and how many nights are flagged."""
        nights = self.nights_before + self.nights_after
        flagged = f" ({self.nights_flagged} of {nights} nights have flagged trials)" if self.nights_flagged else ""
        return f"{self.estimate}, {self.figures}{flagged}"

    @property
    def figures(self) -> str:
        """The two levels: `9.80 → 8.60 Gbit/s`, or `+62 % → +43 %` to the baseline."""
        return self.transition_text(self.before, self.after, self.against)

    @property
    def _mark(self) -> str:
        return MARKED if self.nights_flagged else ""


@dataclass(frozen=True, slots=True)
class FoundChanges:
    """The changes in the order of the series, and the last level of each.

    `detectable_effect`: the smallest step found by its third night, as a share: the median over the series of
    throughput; None where no series is long enough.
    """

    changes: tuple[LevelChange, ...]
    detectable_effect: float | None
    levels: tuple[LevelSince, ...] = ()


def find_changes(series: Sequence[Series], limit_ratio: float = LIMIT_RATIO) -> FoundChanges:
    """The changes of all series of a run, each with the run's own night as its last.

    `limit_ratio`: how much worse is a regression, as a share; for metrics in points, as so many points.
    """
    if not series:
        return FoundChanges((), None)
    found = detection.find_levels([one.searched for one in series], SIGNIFICANCE / len(series))
    reported = [_reported(one, each, len(series), limit_ratio) for one, each in zip(series, found, strict=True)]
    confidence = 1 - SIGNIFICANCE * max(1, sum(bool(each) for each in reported)) / len(series)
    changes = [
        _change(one, step, status, min(1.0, step.p * len(series)), confidence)
        for one, each in zip(series, reported, strict=True)
        for step, status in each
    ]
    detectable = [
        each.last.detectable_effect
        for one, each in zip(series, found, strict=True)
        if each.last is not None and each.last.detectable_effect is not None and one.metric.name == THROUGHPUT
    ]
    # The scan's p-value is of another test than the interval: where they contradict each other, nothing is claimed.
    changes = [change for change in changes if change.status == "suspected" or not change.low <= 0 <= change.high]
    return FoundChanges(
        tuple(changes), math.expm1(statistics.median(detectable)) if detectable else None, levels_since(series, found)
    )


def baseline_changes(changes: Sequence[LevelChange], dataplanes: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each night since which all other dataplanes differ alike from the baseline.

    `dataplanes`: all that the run compares with its baseline; fewer than two give no sentence.
    """
    if len(dataplanes) < ALL_OTHERS:
        return ()
    alike: dict[tuple[str, str, str, bool], dict[str, LevelChange]] = {}
    for change in changes:
        if change.against is not None and change.status not in {"past", "suspected"}:
            alike.setdefault((change.metric, change.path, change.run_id, change.change > 0), {})[change.dataplane] = (
                change
            )
    by_cause: dict[str, list[LevelChange]] = {}
    for others in alike.values():
        if others.keys() >= set(dataplanes):
            one = next(iter(others.values()))
            by_cause.setdefault(f"{one.against} may be what changed in {one.night}", []).append(one)
    return tuple(
        f"{what}, and not the others: by {formatting.listing([one.where for one in where])} all of them differ from it "
        "alike since then."
        for what, where in by_cause.items()
    )


@dataclass(frozen=True, slots=True)
class _Gradual(ChangePoint):
    """From the first nights to the last ones, bit by bit."""


def _reported(one: Series, found: Levels, series: int, limit: float) -> list[tuple[ChangePoint, ChangeStatus]]:
    """The changes of a series that are certain enough to be reported, out of so many series."""
    reported: list[tuple[ChangePoint, ChangeStatus]] = [(step, "past") for step in found.steps[:-1]]
    if found.steps:
        step = found.steps[-1]
        reported.append((step, _judged(one, step, limit)))
    if found.drift is not None:
        reported += _decline(one, found, found.drift, series, limit)
    suspicion = found.suspicion
    if suspicion is not None:
        error = HOPE_ERROR if _is_gain(one, suspicion.estimate) else SUSPICION_ERROR
        p = suspicion.p / error
        far = max(abs(one.shown(end)) for end in suspicion.interval(1 - SIGNIFICANCE))
        if p * series < SIGNIFICANCE and far >= limit:
            reported.append((replace(suspicion, p=p), "suspected"))
    return reported


def _decline(
    one: Series, found: Levels, drift: Drift, series: int, limit: float
) -> list[tuple[ChangePoint, ChangeStatus]]:
    """The slow decline of a series, unless one of its steps makes up half of it."""
    higher = one.metric.better == "higher"
    loss = drift.loss(higher_is_better=higher, level=SIGNIFICANCE / series)
    shown = np.abs(np.expm1(-loss if higher else loss)) if one.metric.scale == "ratio" else loss
    worst = max((abs(step.estimate) for step in found.steps if not _is_gain(one, step.estimate)), default=0.0)
    if shown[-1] < limit or worst >= loss[-1] / 2:
        return []
    after = drift.before + float(drift.differences[-1])
    change = _Gradual(
        drift.since, drift.before, after, drift.error, drift.degrees_of_freedom, float(drift.p[-1]), FIRST, LAST
    )
    return [(change, "regression" if is_news(shown, limit, drift.recent) else "standing")]


def _is_gain(one: Series, estimate: float) -> bool:
    return (estimate > 0) == (one.metric.better == "higher")


def _judged(one: Series, step: ChangePoint, limit: float) -> ChangeStatus:
    """The status of the last step of a series."""
    if abs(one.shown(step.estimate)) < limit:
        return "small"
    if _is_gain(one, step.estimate):
        return "improvement"
    return "regression" if len(one.nights) - step.at <= RECENT else "standing"


def _change(one: Series, step: ChangePoint, status: ChangeStatus, p: float, confidence: float) -> LevelChange:
    metric, night, gradual = one.metric, one.nights[step.at], isinstance(step, _Gradual)
    low, high = step.interval(confidence)
    new = one.nights[-step.nights_after :] if gradual else one.nights[step.at : step.at + step.nights_after]
    of_levels = (*one.nights[max(0, step.at - step.nights_before) : step.at], *new)
    return LevelChange(
        **path_metric_fields(metric, one.cell, one.path),
        dataplane=one.dataplane,
        against=one.against,
        status=status,
        run_id=night.run_id,
        began_at=night.began_at,
        nights_since=len(one.nights) - step.at,
        before=one.figure(step.before),
        after=one.figure(step.after),
        change=one.shown(step.estimate),
        low=one.shown(low),
        high=one.shown(high),
        nights_before=step.nights_before,
        nights_after=step.nights_after,
        nights_flagged=sum(night.flagged for night in of_levels),
        p_adjusted=p,
        gradual=gradual,
    )
