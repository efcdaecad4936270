"""How long a connection takes to open."""

import itertools

import altair as alt
import pyarrow as pa

from analysis import formatting
from analysis.charts._data import Data, Row, flagged, to_frame
from analysis.charts._marks import by_path, colour, column, hollow, lane, plot_width, shape, top
from analysis.charts._theme import INK, WIDE, Look
from analysis.flags import MARKED

TITLE = "Connect time"
READING = (
    "Time of connect(): the mark is the median, the bar's end the 99th percentile; means over visits. Less is better."
)
EMPTY = "No connection was timed: the connect probe was not among the trials, or none of its trials was measured."
ORDER = 70
SQL = """
    select topology, tool, transport, direction, dataplane, avg(connect_p50_s) as p50, avg(connect_p99_s) as p99,
           sum(connect_flagged) as connect_flagged, sum(connect_left_out) as connect_left_out
    from visit_means where run_id = $run_id and connect_p50_s is not null group by all
"""


def frame(data: Data) -> pa.Table:
    """Median and 99th percentile by path and dataplane, in the unit that fits."""
    found = {(row["path"], row["dataplane"]): row for row in data.by_path(SQL)}
    size, unit = formatting.scale("s", *(row["p50"] for row in found.values()))
    rows: list[Row] = []
    for path, arm in itertools.product(dict.fromkeys(path for path, _ in found), data.run.arms):
        if row := found.get((path, arm.name)):
            value, tail = row["p50"] / size, row["p99"] / size if row["p99"] is not None else None
            text = " / ".join(formatting.digits(figure) for figure in (value, tail) if figure is not None)
            text += MARKED if flagged(row, "connect") else ""
            rows.append({"path": path, "unit": unit, "value": value, "tail": tail, "text": text} | data.side(arm))
    return to_frame(rows)


def chart(frame: pa.Table, look: Look = WIDE) -> alt.FacetChart:
    """A mark for the median, a bar to the 99th percentile, and both in figures."""
    ends = column(frame, "tail") + column(frame, "value")
    scale = {"domain": [0, top(ends, 0.4 if look.narrow else 0.16)], "nice": False}
    title = f"connect time, {column(frame, 'unit')[0]}: median / 99th percentile"
    axis = {"title": title, "tickCount": look.ticks}
    base = alt.Chart().encode(y=lane(frame, look))
    side = colour(frame)
    layers = [
        base.mark_bar(height=3, opacity=0.8).encode(
            x=alt.X("value:Q", scale=scale, axis=axis), x2=alt.X2("tail:Q"), color=side
        ),
        base.mark_tick(thickness=2.5, size=12).encode(x=alt.X("tail:Q", scale=scale, axis=axis), color=side),
        base.mark_point(size=64, filled=True, opacity=1, strokeWidth=1.6).encode(
            x=alt.X("value:Q", scale=scale, axis=axis), fill=side, stroke=side, shape=shape(frame), **hollow(0)
        ),
        base.transform_calculate(end="isValid(datum.tail) ? datum.tail : datum.value")
        .mark_text(align="left", dx=7, fontSize=look.font, color=INK, stroke=None)
        .encode(x=alt.X("end:Q", scale=scale, axis=axis), text=alt.Text("text:N")),
    ]
    return by_path(layers, frame, look, plot_width(frame, look))
