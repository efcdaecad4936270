"""Percentiles of times on a logarithmic axis: a mark for each, from the median to the last, in lanes of a dataplane."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Final

import altair as alt
import pyarrow as pa

from analysis import formatting
from analysis.charts.drawing.data import ChartData, Row, flagged, to_frame
from analysis.charts.drawing.marks import by_path, colour, column, hollow, lane, plot_width, shape
from analysis.charts.drawing.theme import INK, WIDE, ChartLayout
from analysis.domain import CELL
from analysis.flags import MARKED, FigureKind

_MOST_ROOM: Final = 0.6
"""The largest share of the plot that is left for the text beside the longest line."""

READING: Final = (
    "The large mark is the median, each small one a further percentile: {}. Means over the visits with enough "
    "observations for it, which may be fewer and quicker for a higher one. On a logarithmic axis; less is better."
)


def frame(data: ChartData, columns: Sequence[str], kind: FigureKind) -> pa.Table:
    """The percentiles by path and dataplane, in the unit that fits the median.

    `columns`: of `visit_means`, the median first; `kind`: of the median.
    """
    first = columns[0]
    means = ", ".join(f"geometric_mean({name}) as {name}" for name in columns)
    sql = f"""
        select {CELL}, dataplane, {means},
               sum({kind}_flagged) as {kind}_flagged, sum({kind}_left_out) as {kind}_left_out
        from visit_means where run_id = $run_id and {first} is not null group by all"""  # noqa: S608 - columns of a view
    found = {(row["path"], row["dataplane"]): row for row in data.by_path(sql)}
    size, unit = formatting.fitting_unit("s", *(row[first] for row in found.values()))
    rows: list[Row] = []
    for path, arm in itertools.product(dict.fromkeys(path for path, _ in found), data.run.arms):
        if row := found.get((path, arm.name)):
            values = [row[name] / size if row[name] is not None else None for name in columns]
            known = [value for value in values if value is not None]
            figures = ["–" if value is None else formatting.digits(value) for value in values]
            mark = MARKED if flagged(row, kind) else ""
            rows += [
                {"path": path, "unit": unit, "value": value, "median": values[0], "end": max(known), "rank": rank}
                | {"text": " / ".join(figures) + mark, "short": f"{figures[0]} … {figures[-1]}{mark}"}
                | data.side(arm)
                for rank, value in enumerate(values)
                if value is not None
            ]
    return to_frame(rows)


def chart(table: pa.Table, layout: ChartLayout = WIDE, *, title: str) -> alt.FacetChart:
    """A line from the median to the last percentile with a mark at each, and in figures all of them, or both ends."""
    text, width = "short" if layout.narrow else "text", plot_width(table, layout)
    values = [value for value in column(table, "value") if value > 0]
    low, high = min(values, default=1.0) / 1.2, max(values, default=1.0) * 1.05
    room = min(_MOST_ROOM, (max(map(len, column(table, text))) * layout.font * 0.56 + 12) / width)
    domain = [low, high * (high / low) ** (room / (1 - room))]
    scale = {"type": "log", "domain": domain, "nice": False, "clamp": True}
    named = title.partition(":")[0] if layout.narrow else title
    axis = {"title": f"{named}, {column(table, 'unit')[0]}", "tickCount": layout.ticks}
    base = alt.Chart().encode(y=lane(table, layout))
    side = colour(table)
    x = partial(alt.X, scale=scale, axis=axis)
    median = base.transform_filter("datum.rank == 0")
    layers = [
        median.mark_rule(strokeWidth=1.6).encode(x=x("median:Q"), x2=alt.X2("end:Q"), color=side),
        base.transform_filter("datum.rank > 0").mark_tick(thickness=2.5, size=10).encode(x=x("value:Q"), color=side),
        median.mark_point(size=64, filled=True, opacity=1, strokeWidth=1.6).encode(
            x=x("value:Q"), fill=side, stroke=side, shape=shape(table), **hollow(0)
        ),
        median.mark_text(align="left", dx=7, fontSize=layout.font, color=INK, stroke=None).encode(
            x=x("end:Q"), text=alt.Text(f"{text}:N")
        ),
    ]
    return by_path(layers, table, layout, width)
