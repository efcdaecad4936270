"""Whether the order of measuring or the time of day affects the figures."""

import altair as alt
import pyarrow as pa

from analysis.charts.drawing.data import ChartData, to_frame
from analysis.charts.drawing.marks import SIGNED, colour, daggers, hollow, shape
from analysis.charts.drawing.theme import INK, MUTED, WIDE, ChartLayout
from analysis.domain import CELL

TITLE = "Order and drift"
READING = (
    "Each trial's throughput against the mean of its path and dataplane, by its place within its visit and by the time "
    "in the run; the line is the mean. It should stay near 0: differences are taken inside rounds, so drift from "
    "round to round falls out, jumps inside one do not."
)
EMPTY = "No throughput was measured, so there is no drift to show."
ORDER = 90
KEY = True
SQL = f"""
    select trial, {CELL}, dataplane, position, round,
           epoch(started_at - min(started_at) over ()) / 60 as minute, marks(flags, 'throughput') as flagged,
           round((received_bps / exp(avg(ln(received_bps)) over cell) - 1) * 100, 6) + 0 as value
    from measurements where run_id = $run_id and received_bps > 0
    window cell as (partition by dataplane, topology, tool, transport, direction, scale, streams, offered_bps)
    order by trial
"""  # noqa: S608 - the columns of a cell


def frame(data: ChartData) -> pa.Table:
    """A row for each trial: deviation in per cent, position in the visit, minutes since the first trial."""
    arms = {arm.name: data.side(arm) for arm in data.run.arms}
    return to_frame(row | {"path": data.path(row)} | arms[row["dataplane"]] for row in data.query(SQL))


def chart(frame: pa.Table, layout: ChartLayout = WIDE) -> alt.TopLevelMixin:
    """Two scatter plots with their running means, on one scale."""
    width = layout.width - 62 if layout.narrow else (layout.width - 110) // 2
    panels = (
        ("position", "position", "position within its visit"),
        ("minute", "round", "minutes since the first trial"),
    )
    drawn = [_panel(frame, width, *panel) for panel in panels]
    shared = alt.Resolve(scale=alt.ScaleResolveMap(y="shared"))
    return (alt.vconcat if layout.narrow else alt.hconcat)(*drawn, data=frame, resolve=shared)


def _panel(frame: pa.Table, width: int, field: str, group: str, title: str) -> alt.LayerChart | alt.FacetChart:
    y = {"title": "against the mean, %", "labelExpr": SIGNED, "tickCount": 5, "grid": True}
    x = alt.X(
        f"{field}:Q", axis={"title": title, "grid": False, "tickMinStep": 1, "tickCount": 6}, scale={"nice": False}
    )
    base = alt.Chart()
    side = colour(frame)
    points = base.mark_point(size=26, filled=True, opacity=0.65).encode(
        x=x, y=alt.Y("value:Q", axis=y), fill=side, stroke=side, shape=shape(frame), **hollow(0)
    )
    mean = (
        base.transform_aggregate(x=f"mean({field})", y="mean(value)", groupby=[group])
        .mark_line(color=INK, strokeWidth=1.8)
        .encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), order=alt.Order("x:Q"))
    )
    marks = daggers(base, x, alt.Y("value:Q", axis=y))
    zero = base.transform_aggregate(n="count()").mark_rule(color=MUTED).encode(y=alt.YDatum(0))
    return alt.layer(zero, points, marks, mean, width=width, height=170)
