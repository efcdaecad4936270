"""How the figures of each dataplane move with the scale: a panel for each figure, path and factor."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import altair as alt
import pyarrow as pa
import pyarrow.compute

from analysis import formatting
from analysis.charts.drawing.data import ChartData, Row, to_frame
from analysis.charts.drawing.marks import colour, column, daggers, hollow, shape
from analysis.charts.drawing.theme import INK, MUTED, WIDE, ChartLayout
from analysis.metrics.metric import shown_unit
from analysis.stats.verdicts.curves import Curve, CurvePoint
from analysis.stats.verdicts.judgement import SHARES
from analysis.summary.run import at_scale

TITLE = "Against the scale"
READING = (
    "Each dataplane's mean over visits at each scale. The line through a point is the interval of its change from the "
    f"first point, taken inside visits; all of them hold together in {SHARES}. Where it "
    "reaches the edge of a panel it goes on. An axis of values far apart is logarithmic; that of the scale has a place "
    "for 0 all the same."
)
EMPTY = "The run has one scale, so there is no curve to show."
ORDER = 13
KEY = True
SECTION = "scale"

_MOST_PANELS: Final = 8
"""The surest changes; the page has all in words."""

_LOGARITHMIC: Final = 5.0
"""From the smallest value to the largest: an axis of values is logarithmic from here on."""

_REACH: Final = 3.0
"""How far beyond all values an axis follows their intervals, as a factor: one that says nothing would hide the rest."""

_FEW_TENS: Final = 2.0
_HEIGHT: Final = 150


def frame(data: ChartData) -> pa.Table:
    """A row for each panel, dataplane and scale; `value`, `low` and `high` in the panel's unit."""
    groups = at_scale.group_curves(data.curves, {})[:_MOST_PANELS]
    return to_frame(
        row
        for panel, group in enumerate(groups)
        for row in _panel_rows(data, panel, [line.curve for line in group.lines])
    )


def _panel_rows(data: ChartData, panel: int, curves: Sequence[Curve]) -> Iterator[Row]:
    one = curves[0]
    values = [point.value for curve in curves for point in curve.values if point.value is not None]
    size, unit = formatting.fitting_unit(shown_unit(one.unit, one.scale), *values)
    fixed = f", {one.fixed}" if one.fixed else ""
    of_panel = {"panel": panel, "title": one.metric_title, "path": f"{one.path}{fixed}"}
    of_panel |= {"unit": unit, "factor": one.along.many, "column": one.along.column}
    for curve in curves:
        side = data.side(data.run.arm(curve.dataplane))
        for point in curve.values:
            if point.value is not None:
                low, high = _interval(curve, point)
                ends = {"value": point.value / size, "low": low and low / size, "high": high and high / size}
                yield of_panel | {"at": point.at, "flagged": bool(point.doubt.mark)} | ends | side


def _interval(curve: Curve, point: CurvePoint) -> tuple[float | None, float | None]:
    """The interval of a point's change, put where the change leads from the first point; None without an end."""
    first = curve.values[0].value
    if first is None or point.low is None or point.high is None or not math.isfinite(point.high):
        return None, None
    if curve.scale == "points":
        return first + point.low, first + point.high
    return first * (1 + point.low), first * (1 + point.high)


def chart(table: pa.Table, layout: ChartLayout = WIDE) -> alt.TopLevelMixin:
    """The panels, two in a row where there is room."""
    panels = sorted(set(column(table, "panel")))
    width = layout.width - 64 if layout.narrow else (layout.width - 150) // 2
    drawn = [_panel(table.filter(pa.compute.equal(table["panel"], panel)), table, layout, width) for panel in panels]
    return alt.concat(*drawn, columns=1 if layout.narrow else 2)


def _panel(rows: pa.Table, whole: pa.Table, layout: ChartLayout, width: int) -> alt.LayerChart | alt.FacetChart:
    unit, factor = (column(rows, name)[0] for name in ("unit", "factor"))
    title = {
        "text": column(rows, "title")[0],
        "subtitle": column(rows, "path")[0],
        "anchor": "start",
        "color": INK,
        "subtitleColor": MUTED,
        "fontSize": layout.font + 0.5,
        "subtitleFontSize": layout.font,
        "subtitlePadding": 1,
        "limit": layout.width - 20,
    }
    labels = "replace(format(datum.value, ',~f'), regexp(',', 'g'), '\u2009')"
    x_axis: dict[str, Any] = {"title": factor, "values": sorted(set(column(rows, "at"))), "labelExpr": labels}
    x_axis |= {"grid": False, "labelOverlap": True, "labelFlush": True}
    x = alt.X("at:Q", scale=_factor_scale(column(rows, "at")), axis=x_axis)
    y_scale = values_scale(column(rows, "value"), [end for name in ("low", "high") for end in column(rows, name)])
    y_axis = {"title": unit or None, "grid": True, "labelExpr": labels} | _ticks(y_scale)
    y = alt.Y("value:Q", scale=y_scale, axis=y_axis)
    base, side = alt.Chart(), colour(whole)
    dashes = alt.StrokeDashValue([1, 0], condition={"test": "datum.twin", "value": [4, 3]})
    lines = base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=side, strokeDash=dashes)
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6, clip=True)
    intervals = bars.encode(x=x, y=alt.Y("low:Q", scale=y_scale, axis=y_axis), y2=alt.Y2("high:Q"), color=side)
    points = base.mark_point(size=46, filled=True, opacity=1).encode(
        x=x, y=y, fill=side, stroke=side, shape=shape(whole), **hollow(0)
    )
    layers = (intervals, lines, points, daggers(base, x, y))
    return alt.layer(*layers, data=rows, title=title, width=width, height=_HEIGHT)


def _ticks(scale: dict[str, Any]) -> dict[str, Any]:
    """The ticks of an axis of values: on a logarithmic one 1, 2, 5 and their tens, or of many tens these alone."""
    if scale.get("type") != "log":
        return {"tickCount": 5}
    low, high = (math.log10(end) for end in scale["domain"])
    tens = range(math.floor(low), math.ceil(high) + 1)
    steps = (1, 2, 5) if high - low < _FEW_TENS else (1,)
    return {"values": [tick for ten in tens for step in steps if low <= math.log10(tick := step * 10.0**ten) <= high]}


def _factor_scale(values: Sequence[float]) -> dict[str, Any]:
    """An axis of a factor: logarithmic where its values span more than a power of ten, with a place for 0."""
    low, high = min(values), max(values)
    least = min((value for value in values if value > 0), default=1.0)
    scale: dict[str, Any] = {"domain": [low, high], "nice": False, "zero": False}
    if high / least <= _LOGARITHMIC:
        return scale
    return scale | ({"type": "log"} if low > 0 else {"type": "symlog", "constant": least / 2})


def values_scale(values: Sequence[float], ends: Sequence[float | None]) -> dict[str, Any]:
    """An axis of values and of the ends of their intervals: from 0, or logarithmic where they are far apart."""
    low, high = min(values), max(values)
    if low > 0:
        known = [min(max(end, low / _REACH), high * _REACH) for end in ends if end is not None]
    else:
        known = [end for end in ends if end is not None]
    low, high = min([low, *known]), max([high, *known])
    if low > 0 and high / low > _LOGARITHMIC:
        return {"type": "log", "domain": [low / 1.15, high * 1.15], "nice": False, "clamp": True}
    return {"domain": [min(low, 0.0), (high or 1.0) * 1.08], "nice": False, "clamp": True}
