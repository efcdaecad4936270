"""The level since the last change, over all its nights: what a figure is, beside what it was tonight. Pure.

Nights are blocks: the mean is over nights, and its error is that of the scatter between them, which the rounds of one
night do not see. One night's interval says how sure that night's measurement is; this one says how sure the level is.
The intervals of one metric and reading are simultaneous, at 95 %. A step whose night is mistaken by one moves the level
a little, which they do not know: docs/changes.md says how often they hold.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from analysis import formatting
from analysis.domain import Cell
from analysis.flags import MARKED
from analysis.metrics.metric import shown_unit
from analysis.stats.change_points.detection import Levels
from analysis.stats.estimates.intervals import SIGNIFICANCE
from analysis.stats.nights.nightly import Series
from analysis.stats.path_metric import PathMetric, path_metric_fields


@dataclass(frozen=True, slots=True)
class LevelSince(PathMetric):
    """The level of a figure over the nights since its last change, or over all of them.

    Attributes:
        dataplane: whose figure it is.
        against: the baseline to which it is relative, if to any.
        run_id: the first of the nights.
        began_at: when that night's run began.
        changed: whether a change began the level; otherwise it is as old as the history.
        nights: over how many nights, without outliers.
        nights_left_out: how many outliers were left out.
        nights_flagged: how many of all these have flagged or left-out trials.
        value: the level, in `unit`; relative to a baseline as the difference to it (0.62: 62 % more).
        low, high: the ends of its interval.
        tonight: the figure of this run alone, likewise.
    """

    dataplane: str
    against: str | None
    run_id: str
    began_at: datetime | None
    changed: bool
    nights: int
    nights_left_out: int
    nights_flagged: int
    value: float
    low: float
    high: float
    tonight: float

    @property
    def key(self) -> tuple[str, Cell, str, str | None]:
        """Metric, cell, dataplane and baseline, as of a comparison."""
        return self.metric, self.cell, self.dataplane, self.against

    @property
    def estimate(self) -> str:
        """The level with its interval: `+24 % [21, 27]`, or `9.80 Gbit/s [9.71, 9.90]`."""
        mark = MARKED if self.nights_flagged else ""
        if self.against is not None:
            return self.change_text(self.value, self.low, self.high) + mark
        size, name = formatting.fitting_unit(shown_unit(self.unit, self.scale), self.value)
        low, value, high = (formatting.digits(figure / size) for figure in (self.low, self.value, self.high))
        return f"{value} {name} [{low}, {high}]{mark}"

    @property
    def span(self) -> str:
        """`12 nights since 2026-11-02`."""
        since = f" since {self.began_at:%Y-%m-%d}" if self.began_at else ""
        return f"{formatting.count(self.nights, 'night')}{since}"

    @property
    def this_night(self) -> str:
        """Tonight's figure: `+22 %`."""
        if self.against is not None:
            return f"{formatting.percent(self.tonight)}{self.points}"
        return formatting.quantity(self.tonight, shown_unit(self.unit, self.scale))


def levels_since(series: Sequence[Series], found: Sequence[Levels]) -> tuple[LevelSince, ...]:
    """The last level of each series that is long enough, in the order of the series."""
    groups = Counter(one.searched.group for one, each in zip(series, found, strict=True) if each.last is not None)
    levels = []
    for one, each in zip(series, found, strict=True):
        last = each.last
        if last is None:
            continue
        low, high = last.interval(SIGNIFICANCE / groups[one.searched.group])
        first = one.nights[last.at]
        levels.append(
            LevelSince(
                **path_metric_fields(one.metric, one.cell, one.path),
                dataplane=one.dataplane,
                against=one.against,
                run_id=first.run_id,
                began_at=first.began_at,
                changed=bool(each.steps),
                nights=last.nights,
                nights_left_out=last.left_out,
                nights_flagged=sum(night.flagged for night in one.nights[last.at :]),
                value=one.figure(last.mean),
                low=one.figure(low),
                high=one.figure(high),
                tonight=one.figure(one.nights[-1].value),
            )
        )
    return tuple(levels)
