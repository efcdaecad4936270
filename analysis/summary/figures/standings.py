"""How each dataplane stands against the best on one kind of traffic by one metric. Pure.

Only decided comparisons make a dataplane best, as good or worse. The intervals hold together, so a dataplane may be
compared with whichever turned out to be the best.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from analysis import formatting
from analysis.metrics.metric import ValueScale
from analysis.stats.verdicts.comparison import Comparison

Standing = Literal["best", "as-good", "worse", "undecided", "not-measured"]

ARROWS: Final[Mapping[Standing, str]] = {
    "best": "↑",
    "as-good": "↔",
    "worse": "↓",
    "undecided": "↕",
    "not-measured": "–",
}
"""The sign of each standing, which is shown beside its words."""

_FAR: Final = 10.0
_TENFOLD: Final = "more than tenfold"
"""A bound as far as this only shows that too little was measured, so its size is not printed."""


@dataclass(frozen=True, slots=True)
class MetricStanding:
    """A dataplane's standing by one metric.

    Attributes:
        metric: its name.
        title: of the metric.
        standing: against the best.
        against: the dataplane that `low` and `high` refer to, by name; None without an interval.
        against_first: whether that one has the best mean of those that nothing beats.
        low: the lower end of the simultaneous interval of the advantage over it: -0.2 is 20 % worse.
        high: the upper end.
        scale: of `low` and `high`: a share of the other's value, or points.
        margin_ratio: how much counts as the same, on that scale.
        reason: why there is no interval.
        mark: of flagged trials, its own and those of what it is compared with; empty without them.
    """

    metric: str
    title: str
    standing: Standing
    against: str | None = None
    against_first: bool = False
    low: float | None = None
    high: float | None = None
    scale: ValueScale = "ratio"
    margin_ratio: float = 0.0
    reason: str | None = None
    mark: str = ""

    @property
    def arrow(self) -> str:
        """The sign beside the words."""
        return ARROWS[self.standing]

    @property
    def word(self) -> str:
        """The standing alone: `as good`."""
        return self.standing.replace("-", " ")

    @property
    def extent(self) -> str:
        """How far: `within 10 %`, `by 31 to 38 %`, `12 % worse to 40 % better`; empty where there is nothing to add."""
        unit = "points" if self.scale == "points" else "%"
        if self.standing == "as-good":
            return f"within {formatting.digits(self.margin_ratio * 100, 2)} {unit}"
        if self.low is None or self.high is None or self.standing not in {"worse", "undecided"}:
            return ""
        low, high = formatting.bound(self.low, up=False), formatting.bound(self.high, up=True)
        low_end, high_end = (
            _TENFOLD if abs(end) > _FAR else f"{text} {unit}" for end, text in ((self.low, low), (self.high, high))
        )
        if low_end == high_end == _TENFOLD and self.standing == "worse":
            return f"by {_TENFOLD}"
        if self.standing == "worse":
            return f"by {high_end} to {low_end}" if low_end == _TENFOLD else f"by {high} to {low_end}"
        return f"{low_end} worse to {high_end} better"


@dataclass(frozen=True, slots=True)
class _View:
    """A comparison as seen by one of its two dataplanes: `low` and `high` of its advantage over the other."""

    other: str
    outcome: Literal["better", "worse", "same", "undecided"] = "undecided"
    within_margin: bool = False
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    mark: str = ""

    @property
    def is_loss(self) -> bool:
        """Whether it is worse, and that perhaps by more than the margin."""
        return self.outcome == "worse" and not self.within_margin


def stand(names: Sequence[str], compared: Iterable[Comparison]) -> dict[str, MetricStanding]:
    """Dataplane -> its standing; empty without comparisons.

    `compared`: the comparisons between any two of the dataplanes of these names, by one metric in one cell.
    """
    found = list(compared)
    if not found:
        return {}
    values = _means(found)
    measured = [name for name in names if values.get(name) is not None]
    views = {name: _views(name, measured, found) for name in measured}
    rivals = [name for name in measured if not any(view.is_loss for view in views[name])]
    sign = 1 if found[0].better == "higher" else -1
    # losses are given against the best by its mean, among those that nothing beats
    ranked = sorted(measured, key=lambda name: (name not in rivals, -sign * (values[name] or 0.0)))
    standings = {}
    for name in names:
        standing: Standing = "not-measured"
        view: _View | None = None
        if name in measured:
            standing, view = _standing(name, views, rivals, ranked)
        standings[name] = MetricStanding(
            metric=found[0].metric,
            title=found[0].metric_title,
            standing=standing,
            against=view.other if view else None,
            against_first=view is not None and view.other == ranked[0],
            low=view.low if view else None,
            high=view.high if view else None,
            scale=found[0].scale,
            margin_ratio=found[0].margin_ratio,
            reason=view.reason if view else None if name in measured else _reason(name, found),
            mark=_mark(name, found) or _mark_of_others(standing, view, views.get(name, ()), rivals),
        )
    return standings


def _means(found: Iterable[Comparison]) -> dict[str, float | None]:
    """The mean of each dataplane, as the comparison has it that rests on most rounds."""
    values: dict[str, float | None] = {}
    for c in sorted(found, key=lambda c: c.rounds):
        values |= {c.baseline: c.baseline_value, c.dataplane: c.value}
    return values


def _standing(
    name: str, views: Mapping[str, Sequence[_View]], rivals: Sequence[str], ranked: Sequence[str]
) -> tuple[Standing, _View | None]:
    """A measured dataplane's standing, and the comparison that shows it, with the first of `ranked` that can."""
    own = sorted(views[name], key=lambda view: ranked.index(view.other))
    if losses := [view for view in own if view.is_loss]:
        return "worse", losses[0]
    if still_open := [view for view in own if view.outcome == "undecided" and view.other in rivals]:
        return "undecided", still_open[0]
    if own and _beaten(name, views) == {view.other for view in own}:
        return "best", None
    if any(other != name for other in rivals):
        return "as-good", None
    return "undecided", next((view for view in own if view.outcome == "undecided"), None)


def _beaten(name: str, views: Mapping[str, Sequence[_View]]) -> set[str]:
    """The dataplanes that one is better than, or better than one that is better than they are."""
    found: set[str] = set()
    todo = [name]
    while todo:
        new = {view.other for view in views[todo.pop()] if view.outcome == "better"} - found - {name}
        found |= new
        todo += new
    return found


def _views(name: str, measured: Sequence[str], compared: Iterable[Comparison]) -> list[_View]:
    """The comparisons of one dataplane with the others that were measured; a missing one is undecided."""
    found: dict[str, _View] = {}
    for c in compared:
        if c.dataplane == name:
            found[c.baseline] = _view(c, c.baseline, c.gain, (c.low, c.high))
        elif c.baseline == name:
            gain = None if c.gain is None else not c.gain
            found[c.dataplane] = _view(c, c.dataplane, gain, (_reversed(c.high, c.scale), _reversed(c.low, c.scale)))
    return [found.get(other) or _View(other) for other in measured if other != name]


def _view(c: Comparison, other: str, gain: bool | None, change: tuple[float | None, float | None]) -> _View:  # noqa: FBT001 - private
    low, high = change
    if c.better == "lower" and low is not None and high is not None:
        low, high = -high, -low
    outcome = {True: "better", False: "worse", None: c.outcome}[gain]
    return _View(other, outcome, c.within_margin, low, high, c.reason, c.doubts.mark)  # type: ignore[arg-type]


def _reversed(change: float | None, scale: ValueScale) -> float | None:
    """A change of the baseline against the dataplane."""
    if change is None:
        return None
    if scale == "points":
        return -change
    return 1 / (1 + change) - 1 if change > -1 else math.inf


def _reason(name: str, compared: Iterable[Comparison]) -> str | None:
    """Why a dataplane that was not measured was not."""
    return next((c.reason for c in compared if name in {c.baseline, c.dataplane} and c.reason), None)


def _mark(name: str, compared: Iterable[Comparison]) -> str:
    """The mark of a dataplane's own figure."""
    doubts = [
        c.doubt if c.dataplane == name else c.baseline_doubt for c in compared if name in {c.baseline, c.dataplane}
    ]
    return max((doubt.mark for doubt in doubts), default="")


def _mark_of_others(standing: Standing, view: _View | None, own: Iterable[_View], rivals: Sequence[str]) -> str:
    """The mark of the differences that a standing gives: to one dataplane, or as good as all that may be best.

    Their figures are as much part of a difference as its own one.
    """
    shown = [view] if view else [each for each in own if each.other in rivals] if standing == "as-good" else []
    return max((each.mark for each in shown), default="")
