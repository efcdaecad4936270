"""What changed from night to night: in which series, since when, by how much, and whether it is a regression.

Pure: from series of nightly values to changes. `analysis.stats.change_points` finds the steps of one series; here the
chance of error is kept at 5 % over all series of a run, and each step is judged and put into words. docs/changes.md
explains it to readers of a report.
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
from analysis.metric import ComparedMetric, Scale, shown_unit
from analysis.stats import change_points
from analysis.stats.change_points import RECENT, ChangePoint, LastLevel, Levels
from analysis.stats.intervals import SIGNIFICANCE, holm
from analysis.stats.metrics import THROUGHPUT

Status = Literal["regression", "standing", "improvement", "small", "suspected", "past"]

LIMIT_RATIO: Final = 0.05
"""From this on a change for the worse is a regression, unless a run says otherwise."""


ALL_OTHERS: Final = 2
"""So many dataplanes that change alike against the baseline are no coincidence: it is the baseline that changed."""


@dataclass(frozen=True, slots=True)
class Night:
    """One run's value in one series: a logarithm, or points. `error`: its standard error over visits, if known.

    `flagged`: whether flagged trials are in it, or were left out of it.
    """

    run_id: str
    began_at: datetime | None
    value: float
    error: float | None = None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One figure night by night, the run's own last. `against`: the baseline it is relative to; None: to nothing.

    For metrics on a ratio scale values are logarithms: of the figure, or of its ratio to the baseline's that night.
    """

    metric: ComparedMetric
    cell: Cell
    path: str
    dataplane: str
    against: str | None
    nights: tuple[Night, ...]

    @property
    def floor(self) -> float:
        """The least noise to assume: what a night's own visits say of its mean, in the middle of all nights."""
        known = [night.error for night in self.nights if night.error is not None]
        return max(change_points.FLOOR, statistics.median(known) if known else 0.0)


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A step of a series from one level to another.

    `status`: `regression` is worse by the limit or more, and news of the last seven nights; `standing` is one that is
    older; `improvement` is better by the limit or more; `small` is beyond chance, but within the limit; `suspected`:
    the last night alone is far off; `past`: a later change has followed.
    `run_id`, `began_at`: of the first night of the new level. `nights_since`: that night and all after it.
    `before`, `after`: the levels, in `unit`; relative to a baseline as differences to it (0.62: 62 % more).
    `change`, `low`, `high`: the step and its 95 % interval, as in a comparison: shares, or points.
    `nights_before`, `nights_after`: how many nights the levels rest on. `p_adjusted`: Holm's, over the run's series.
    `beside`: what else differed between that night's provenance and the one before. `nights_flagged`: how many of the
    levels' nights have flagged trials in them, or had some left out.
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
        """Whether it is what a reader wants."""
        return (self.change > 0) == (self.better == "higher")

    @property
    def night(self) -> str:
        """When and with which run it began: `the night of 2026-11-20 (run NAME)`."""
        when = f"the night of {self.began_at:%Y-%m-%d}" if self.began_at else "a night of unknown date"
        return f"{when} (run {self.run_id})"

    @property
    def who(self) -> str:
        """The dataplane, and what it is relative to: `lab-ebpf against lab-iptables`."""
        return self.dataplane if self.against is None else f"{self.dataplane} against {self.against}"

    @property
    def where(self) -> str:
        """The path, and the metric unless it is throughput."""
        return self.path if self.metric == THROUGHPUT else f"{self.path}, {self.metric_title}"

    @property
    def size(self) -> str:
        """The step alone, with a mark where flagged trials matter: `−12 %`."""
        return formatting.percent(self.change) + (" points" if self.scale == "points" else "") + self._mark

    @property
    def estimate(self) -> str:
        """The step and its interval: `−12 % [−15, −9]`."""
        points = " points" if self.scale == "points" else ""
        return f"{formatting.percent(self.change)}{points} {formatting.interval(self.low, self.high)}{self._mark}"

    @property
    def extent(self) -> str:
        """Size and figures: `−12 % [−15, −9], 9.80 → 8.60 Gbit/s`, and how many nights are flagged."""
        return f"{self.estimate}, {self.figures}{self._flagged}"

    @property
    def figures(self) -> str:
        """The two levels: `9.80 → 8.60 Gbit/s`, or `+62 % → +43 %` to the baseline."""
        if self.against is None:
            return formatting.transition(self.before, self.after, shown_unit(self.unit, self.scale))
        points = " points" if self.scale == "points" else ""
        return f"{formatting.percent(self.before)} → {formatting.percent(self.after)}{points}"

    @property
    def told(self) -> str:
        """What happened, without where: size, figures and night."""
        if self.status == "suspected":
            figures = f"{self.figures}{self._flagged}"
            return f"{self.estimate} in {self.night} alone, {figures}: one night is no change point yet"
        since = "in" if self.status == "past" else "since"
        return f"{self.estimate} {since} {self.night}, {self.figures}{self._flagged}"

    @property
    def _mark(self) -> str:
        return MARKED if self.nights_flagged else ""

    @property
    def _flagged(self) -> str:
        nights = self.nights_before + self.nights_after
        return f" ({self.nights_flagged} of {nights} nights have flagged trials)" if self.nights_flagged else ""

    @property
    def sentence(self) -> str:
        """The whole: `pod-to-service tcp, ebpf: −12 % [−15, −9] since the night of 2026-11-20 (run NAME), ...`."""
        return f"{self.where}, {self.who}: {self.told}"


@dataclass(frozen=True, slots=True)
class FoundChanges:
    """The changes in the order of the series, and the smallest step that a third night would have shown.

    `sight`: the median over the series of throughput, as a share; None where no series is long enough to tell.
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
    """A sentence for each night since which all others differ from the baseline in the same way, as if it had changed.

    Args:
        changes: of a run.
        dataplanes: all others that the run compares with its baseline; of fewer than two it can't be told.
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
    """The p-values adjusted for all of them together, sorted into series as they came."""
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
    """What the last step of a series is."""
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
        change, low, high = (_as_share(logarithm) for logarithm in (change, low, high))
        before, after = ((math.exp(v) if one.against is None else _as_share(v)) for v in (before, after))
    return LevelChange(
        metric=metric.name,
        metric_title=metric.title,
        unit=metric.unit,
        scale=metric.scale,
        better=metric.better,
        **one.cell._asdict(),
        path=one.path,
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


def _as_share(logarithm: float) -> float:
    """A difference of logarithms as a share; infinite where that has no number."""
    try:
        return math.expm1(logarithm)
    except OverflowError:
        return math.inf
