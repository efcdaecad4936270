"""The nights of one method: the course of each figure with its change points, as charts and in words."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa

from analysis import charts, formatting
from analysis.charts import Chart, ChartData, Drawing, trend
from analysis.metrics.metric import ComparedMetric
from analysis.stats.nights import history
from analysis.stats.nights.level_since import LevelSince
from analysis.stats.nights.nightly import Series
from analysis.stats.run import StoredRun
from analysis.summary.run.summary import Summary

FEWEST_NIGHTS: Final = 2

_READING: Final = (
    "The mean of each night. A dashed line in a dataplane's colour marks the first night of a new level, with the size "
    "of the change, as the report of the last night found it."
)


@dataclass(frozen=True, slots=True)
class Trend:
    """A metric over the nights: its chart, and the levels since the last changes."""

    drawing: Drawing
    levels: tuple[LevelSince, ...]


def draw_trends(
    con: duckdb.DuckDBPyConnection, about: StoredRun, nights: list[str], summary: Summary | None
) -> list[Trend]:
    """A trend for each metric, and in a cluster one more for its absolute figures.

    `con`: with the views of `analysis.sql.database`; `about`: the last of the nights; `nights`: the runs, the oldest
    first; `summary`: of the last night, with the change points and levels to show; None: there are none.
    """
    data = ChartData(con, about, (), summary.changes if summary else ())
    levels = summary.history.levels if summary and summary.history else ()
    found: dict[tuple[ComparedMetric, str | None], list[Series]] = defaultdict(list)
    for one in history.nightly_series(con, about, nights[-history.MOST_NIGHTS :]):
        if len(one.nights) >= FEWEST_NIGHTS:
            found[one.metric, one.against].append(one)
    drawn = charts.draw_all([_chart(data, *of, series) for of, series in found.items()], data)
    return [
        Trend(drawing, tuple(level for level in levels if (level.metric, level.against) == (metric.name, against)))
        for (metric, against), drawing in zip(found, drawn, strict=True)
    ]


def _chart(data: ChartData, metric: ComparedMetric, against: str | None, series: list[Series]) -> Chart:
    title = f"{metric.title[:1].upper()}{metric.title[1:]}"
    return Chart(
        name=f"{metric.name}-{'itself' if against is None else 'compared'}",
        title=title if against is None else f"{title}, against {data.run.arm(against).title}",
        reading=_READING,
        empty="",
        place=0,
        frame=lambda data: _frame(data, metric, against, series),
        draw=trend.chart,
        key=True,
    )


def _frame(data: ChartData, metric: ComparedMetric, against: str | None, series: list[Series]) -> pa.Table:
    size, axis = _axis(data, metric, against, series)
    rows = [
        {
            "path": data.run.path(one.cell),
            "at": night.began_at.isoformat(),
            "value": one.figure(night.value) / size,
            "flagged": night.flagged,
            "axis": axis,
            "origin": None if against is None else 0.0,
        }
        | data.side(data.run.arm(one.dataplane))
        for one in series
        for night in one.nights
        if night.began_at is not None
    ]
    changes = [change for change in data.changes if (change.metric, change.against) == (metric.name, against)]
    return trend.with_changes(data, rows, changes)


def _axis(data: ChartData, metric: ComparedMetric, against: str | None, series: list[Series]) -> tuple[float, str]:
    """The divisor of the values, and the axis's title."""
    if against is not None:
        unit = "points" if metric.scale == "points" else "%"
        return 0.01, f"to {data.run.arm(against).title}, {unit}"
    return formatting.fitting_unit(
        metric.shown_unit, *(one.figure(night.value) for one in series for night in one.nights)
    )
