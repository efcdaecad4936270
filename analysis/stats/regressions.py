"""Changes from night to night over all series of a run, and which of them are regressions. Pure.

`analysis.stats.change_points` finds the steps of one series; this module keeps the error rate at 5 % over all series,
and classifies each step. docs/changes.md explains the method to readers of a report.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from analysis import formatting
from analysis.domain import Cell
from analysis.flags import MARKED
from analysis.metric import ComparedMetric
from analysis.stats import change_points
from analysis.stats.change_points import RECENT, ChangePoint, LastLevel, Levels
from analysis.stats.intervals import SIGNIFICANCE, as_share, holm
from analysis.stats.metrics import THROUGHPUT
from analysis.stats.path_metric import PathMetric, path_metric_fields

Status = Literal["regression", "standing", "improvement", "small", "suspected", "past"]

LIMIT_RATIO: Final = 0.05
"""A change for the worse by this or more is a regression, unless a run sets another limit."""

ALL_OTHERS: Final = 2
"""Where at least so many dataplanes change alike against the baseline, the baseline may be what changed."""


@dataclass(frozen=True, slots=True)
class Night:
    """One run's value in one series: a logarithm, or points. `error`: its standard error over visits, if known.

    `flagged`: whether flagged trials are in the value, or were left out of it.
    """

    run_id: str
    began_at: datetime | None
    value: float
    error: float | None = None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One figure night by night, the run's own last. `against`: the baseline to which it is relative, if to any.

    For metrics on a ratio scale the values are logarithms: of the figure, or of its ratio to the baseline's that night.
    """

    metric: ComparedMetric
    cell: Cell
    path: str
    dataplane: str
    against: str | None
    nights: tuple[Night, ...]

    @property
    def floor(self) -> float:
        """The least noise to assume: the median over nights of the standard error over a night's visits."""
        known = [night.error for night in self.nights if night.error is not None]
        return max(change_points.FLOOR, statistics.median(known) if known else 0.0)


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
        before: the old level, in `unit`; relative to a baseline as the difference to it (0.62: 62 % more).
        after: the new level, likewise.
        change: the step: a share, or points.
        low: the lower end of its 95 % interval.
        high: the upper end.
        nights_before: how many nights the old level rests on.
        nights_after: how many nights the new level rests on.
        p_adjusted: the p-value after Holm's correction over the run's series.
        beside: the other differences between that night's provenance and the previous one's.
        nights_flagged: how many of the levels' nights have flagged or left-out trials.
    """

    dataplane: str
    against: str | None
    status: Status
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
        if self.against is None:
            return self.transition_text(self.before, self.after)
        return f"{formatting.percent(self.before)} → {formatting.percent(self.after)}{self.points}"

    @property
    def _mark(self) -> str:
        return MARKED if self.nights_flagged else ""


@dataclass(frozen=True, slots=True)
class FoundChanges:
    """The changes in the order of the series.

    `sight`: the smallest step found by its third night, as a share: the median over the series of throughput; None
    where no series is long enough.
    """

    changes: tuple[LevelChange, ...]
    sight: float | None


def find_changes(series: Sequence[Series], limit_ratio: float = LIMIT_RATIO) -> FoundChanges:
    """The changes of all series of a run.

    Args:
        series: each with the run's own night as its last.
        limit_ratio: how much worse is a regression, as a share; for metrics in points, as so many points.
    """
    level = SIGNIFICANCE / max(1, len(series))
    found = [change_points.levels([n.value for n in one.nights], level, one.floor) for one in series]
    steps = _within_chance([[step.p for step in each.steps] or [1.0] for each in found])
    lasts = _within_chance([[each.last.p if each.last else 1.0] for each in found])
    changes = [
        change
        for one, each, ps, (p_last,) in zip(series, found, steps, lasts, strict=True)
        for change in _changes(one, each, ps, p_last, limit_ratio)
    ]
    sights = [
        each.sight
        for one, each in zip(series, found, strict=True)
        if each.sight is not None and one.metric.name == THROUGHPUT
    ]
    return FoundChanges(tuple(changes), math.expm1(statistics.median(sights)) if sights else None)


def baseline_changes(changes: Sequence[LevelChange], dataplanes: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each night since which all other dataplanes differ alike from the baseline.

    Args:
        changes: of a run.
        dataplanes: all that the run compares with its baseline; fewer than two give no sentence.
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


def _within_chance(of_series: list[list[float]]) -> list[list[float]]:
    """The p-values, adjusted for all of them together, in the same nesting."""
    rest = iter(holm([p for each in of_series for p in each]))
    return [[next(rest) for _ in each] for each in of_series]


def _changes(one: Series, found: Levels, ps: Sequence[float], p_last: float, limit: float) -> list[LevelChange]:
    certain = [(step, p) for step, p in zip(found.steps, ps, strict=False) if p < SIGNIFICANCE]
    changes = [_change(one, step, step.at, p, "past") for step, p in certain[:-1]]
    if certain:
        step, p = certain[-1]
        draft = _change(one, step, step.at, p, "small")
        changes.append(replace(draft, status=_judged(draft, limit)))
    if found.last is not None and p_last < SIGNIFICANCE:
        alone = _change(one, found.last, len(one.nights) - 1, p_last, "suspected")
        if abs(alone.change) >= limit:
            changes.append(alone)
    return changes


def _judged(change: LevelChange, limit: float) -> Status:
    """The status of the last step of a series."""
    if abs(change.change) < limit:
        return "small"
    if change.gain:
        return "improvement"
    return "regression" if change.nights_since <= RECENT else "standing"


def _change(one: Series, step: ChangePoint | LastLevel, at: int, p: float, status: Status) -> LevelChange:
    metric, night = one.metric, one.nights[at]
    after = step.value if isinstance(step, LastLevel) else step.after
    change, low, high, before = after - step.before, step.low, step.high, step.before
    nights_after = step.nights_after if isinstance(step, ChangePoint) else 1
    if metric.scale == "ratio":
        change, low, high = (as_share(logarithm) for logarithm in (change, low, high))
        before, after = ((math.exp(v) if one.against is None else as_share(v)) for v in (before, after))
    return LevelChange(
        **path_metric_fields(metric, one.cell, one.path),
        dataplane=one.dataplane,
        against=one.against,
        status=status,
        run_id=night.run_id,
        began_at=night.began_at,
        nights_since=len(one.nights) - at,
        before=before,
        after=after,
        change=change,
        low=low,
        high=high,
        nights_before=step.nights_before,
        nights_after=nights_after,
        nights_flagged=sum(n.flagged for n in one.nights[max(0, at - step.nights_before) : at + nights_after]),
        p_adjusted=p,
    )
