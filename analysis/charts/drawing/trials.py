"""Every trial of a metric beside the means over visits: the first chart of the interactive report."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

import altair as alt
import pyarrow as pa

from analysis.charts.drawing.data import ChartData, metric_frame, to_frame
from analysis.charts.drawing.marks import by_path, colour, hollow, lane, plot_width, shape
from analysis.charts.drawing.theme import INK, MUTED, WIDE, ChartLayout
from analysis.metrics import METRICS
from analysis.metrics.metric import Metric

_LANE: Final = 10
"""How much higher a lane is than in the other charts, in pixels."""


def metric_frames(data: ChartData) -> Iterator[tuple[Metric, pa.Table]]:
    """Each metric that a visit has, with its means and intervals by path and dataplane."""
    columns = ", ".join(f"count({metric.name}) as {metric.name}" for metric in METRICS)
    (known,) = data.query(f"select {columns} from visit_means where run_id = $run_id")  # noqa: S608 - names of metrics
    return ((metric, metric_frame(data, metric)) for metric in METRICS if known[metric.name])


def lanes_of(data: ChartData) -> pa.Table:
    """A row for each path and dataplane, without a value: what the chart of any metric may show."""
    paths = dict.fromkeys(data.run.path(cell) for cell in data.run.cells)
    return to_frame(
        {"path": path, "value": None, "low": None, "high": None, "text": ""} | data.side(arm)
        for path in paths
        for arm in data.run.arms
    )


def trials(frame: pa.Table, layout: ChartLayout = WIDE) -> alt.FacetChart:
    """A small mark for each trial, and a large one with its interval for the mean over visits.

    The page fills it with the rows of a metric: those of `metric_frames`, and one for each trial, which has `trial`,
    and `void` where a flag rules the figure out, which is a cross then. Each path has an axis of its own, without a
    title, since the page names metric and unit.
    """
    axis = {"title": None, "tickCount": layout.ticks, "grid": True}
    x = partial(alt.X, scale={"zero": False, "nice": True}, axis=axis)
    side = colour(frame)
    base = alt.Chart().encode(y=lane(frame, layout))
    each = base.transform_filter("isValid(datum.trial)")
    mean = base.transform_filter("!isValid(datum.trial) && isValid(datum.value)")
    layers = [
        each.transform_filter("!datum.void")
        .mark_point(size=34, strokeWidth=1.2, opacity=0.75, yOffset=5, cursor="pointer")
        .encode(x=x("value:Q"), stroke=side, shape=shape(frame)),
        each.transform_filter("datum.void")
        .mark_text(text="✕", fontSize=layout.font - 1, dy=5, cursor="pointer")
        .encode(x=x("value:Q"), color=alt.ColorValue(MUTED)),
        mean.mark_rule(strokeWidth=2, yOffset=-4).encode(x=x("low:Q"), x2=alt.X2("high:Q"), color=side),
        mean.mark_point(size=70, strokeWidth=1.6, filled=True, opacity=1, yOffset=-4, cursor="pointer").encode(
            x=x("value:Q"), fill=side, stroke=side, shape=shape(frame), **hollow(0)
        ),
        base.transform_filter("!isValid(datum.trial) && !isValid(datum.value)")
        .mark_text(align="left", dx=4, fontSize=layout.font, fontStyle="italic", x=0)
        .encode(text=alt.Text("text:N"), color=alt.ColorValue(INK)),
    ]
    tall = replace(layout, lane=layout.lane + _LANE)
    return by_path(layers, frame, tall, plot_width(frame, tall), independent=("x",))
