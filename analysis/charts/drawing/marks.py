"""Parts that charts share: lanes of one dataplane each, below the name of their path."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import altair as alt
import pyarrow as pa

from analysis.charts.drawing.theme import INK, LEVELS, MUTED, SHAPES, WIDE, ChartLayout
from analysis.flags import MARKED

LABELS_WIDE = 190
LABELS_NARROW = 104

SIGNED = "(datum.value > 0 ? '+' : '') + datum.label"
"""The expression of an axis label with its sign."""


def column(frame: pa.Table, name: str) -> list[Any]:
    """A column's values."""
    values: list[Any] = frame.column(name).to_pylist()
    return values


def _sides(frame: pa.Table) -> dict[str, tuple[str, int]]:
    names, colours, shapes = (column(frame, name) for name in ("dataplane", "colour", "shape"))
    return {n: (c, s) for n, c, s in zip(names, colours, shapes, strict=True)}


def colour(frame: pa.Table) -> alt.Color:
    """Each dataplane in its own colour, without a legend, since labels stand beside the marks."""
    sides = _sides(frame)
    scale = {"domain": list(sides), "range": [c for c, _ in sides.values()]}
    return alt.Color("dataplane:N", scale=scale, legend=None)


def shape(frame: pa.Table) -> alt.Shape:
    """Each dataplane in its own shape, for readers who can't tell the colours apart."""
    sides = _sides(frame)
    scale = {"domain": list(sides), "range": [SHAPES[s % len(SHAPES)] for _, s in sides.values()]}
    return alt.Shape("dataplane:N", scale=scale, legend=None)


def hollow(opacity: float) -> dict[str, Any]:
    """The fill opacity of a mark: 1, or `opacity` for a twin."""
    return {"fillOpacity": alt.FillOpacityValue(1.0, condition={"test": "datum.twin", "value": opacity})}


def lane(frame: pa.Table, layout: ChartLayout = WIDE, labels: str = "dataplane") -> alt.Y:
    """One labelled lane for each dataplane, in their order."""
    limit = LABELS_NARROW if layout.narrow else LABELS_WIDE
    order = list(dict.fromkeys(column(frame, labels)))
    return alt.Y(f"{labels}:N", sort=order, axis={"title": None, "labelLimit": limit, "labelColor": INK})


def plot_width(frame: pa.Table, layout: ChartLayout, right: int = 0, labels: str = "dataplane") -> int:
    """The width left for the plot beside its labels and `right` pixels of text, in pixels."""
    longest = max((len(str(name)) for name in column(frame, labels)), default=0)
    left = min(LABELS_NARROW if layout.narrow else LABELS_WIDE, longest * layout.font * 0.56 + 12)
    return int(layout.width - left - right - 8)


def by_path(
    layers: Sequence[alt.Chart], frame: pa.Table, layout: ChartLayout, width: int, independent: Sequence[str] = ("y",)
) -> alt.FacetChart:
    """The layers once for each path, one below the other, each with the path's name above it.

    `width`: of the plot, in pixels; `independent`: the channels of which each path has a scale of its own.
    """
    paths = list(dict.fromkeys(column(frame, "path")))
    header: dict[str, Any] = {"title": None, "labelOrient": "top", "labelAnchor": "start"}
    if layout.narrow:  # a path with its metric needs two lines there
        header["labelExpr"] = "split(datum.label, ': ')"
    row = alt.Row("path:N", sort=paths, header=header, title=None)
    # all at once: each further call on a chart of layers copies all of them, several times
    layered = alt.layer(*layers, width=width, height=alt.Step(layout.lane))
    return layered.facet(row=row, data=frame, resolve=independent_scales(*independent))


def independent_scales(*channels: str) -> alt.Resolve:
    """What gives each panel of a chart a scale of its own in these channels."""
    own: dict[str, Any] = dict.fromkeys(channels, "independent")
    return alt.Resolve(scale=alt.ScaleResolveMap(**own))


def daggers(base: alt.Chart, x: alt.X, y: alt.Y) -> alt.Chart:
    """The mark of flagged trials above each point whose column `flagged` is true."""
    beside = base.transform_filter("datum.flagged").mark_text(text=MARKED, dy=-8)
    return cast("alt.Chart", beside.encode(x=x, y=y, color=alt.ColorValue(INK)))


def top(values: list[float | None], room: float) -> float:
    """The end of an axis that starts at 0, with a share of `room` for the text beside the longest bar."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return (max(finite, default=1.0) or 1.0) * (1 + room)


def around(values: list[float | None]) -> list[float]:
    """An axis around these values, with room for text to the right; it does not magnify what is nearly equal."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    spread = max(high - low, abs(high) * 0.1)
    return [low - 0.3 * spread, high + 0.7 * spread]


def lanes(
    frame: pa.Table, layout: ChartLayout = WIDE, *, title: str, bars: bool = False, zero: bool = True
) -> alt.FacetChart:
    """A value with its interval for each dataplane, in lanes below the name of each path.

    `frame`: as `intervals` returns it; `title`: of the axis, to which the frame's unit is added; `bars`: bars, whose
    lengths are compared, else points; `zero`: whether the axis starts at zero.
    """
    unit = next(iter(column(frame, "unit")), "")
    values = column(frame, "value") + column(frame, "high")
    if zero:
        scale = {"domain": [0, top(values, 0.28 if layout.narrow else 0.12)], "nice": False}
    else:
        scale = {"domain": around([*values, *column(frame, "low")]), "zero": False, "nice": False}
    axis = {"title": f"{title}, {unit}" if unit else title, "tickCount": layout.ticks}
    x = partial(alt.X, scale=scale, axis=axis)
    base = alt.Chart().encode(y=lane(frame, layout))
    side = colour(frame)
    rule = base.mark_rule(strokeWidth=1.6, clip=True).encode(x=x("low:Q"), x2=alt.X2("high:Q"))
    mark = {"x": x("value:Q"), "fill": side, "stroke": side}
    if bars:
        bar = base.mark_bar(height={"band": 0.72}, strokeWidth=1.4)
        marks = [bar.encode(**mark, **hollow(0.15)), rule.encode(color=alt.ColorValue(INK))]
    else:
        point = base.mark_point(size=64, strokeWidth=1.6, filled=True, opacity=1)
        marks = [rule.encode(color=side), point.encode(**mark, shape=shape(frame), **hollow(0))]
    beside = base.transform_calculate(end="isValid(datum.high) ? max(datum.high, datum.value) : datum.value")
    text = beside.mark_text(align="left", dx=6 if bars else 9, fontSize=layout.font).encode(
        x=x("end:Q"), text=alt.Text("text:N")
    )
    missing = (
        base.transform_filter("!isValid(datum.value)")
        .mark_text(align="left", dx=4, fontSize=layout.font, fontStyle="italic", x=0)
        .encode(text=alt.Text("text:N"), color=alt.ColorValue(MUTED))
    )
    shown = text.transform_filter("isValid(datum.value)")
    return by_path([*marks, shown, missing], frame, layout, plot_width(frame, layout))


def parts(frame: pa.Table, layout: ChartLayout = WIDE, *, title: str, names: tuple[str, ...]) -> alt.FacetChart:
    """Stacked bars of the parts of a whole, in lanes below the name of each path.

    `frame`: `path`, `lane`, `part`, `place` (index of the part) and `value`, in the unit that the axis's `title` names;
    `names`: the parts, in the order stacked.
    """
    totals: dict[tuple[str, str], float] = {}
    for path, one, value in zip(*(column(frame, name) for name in ("path", "lane", "value")), strict=True):
        totals[path, one] = totals.get((path, one), 0.0) + value
    scale = {"domain": [0, top(list(totals.values()), 0.24 if layout.narrow else 0.1)], "nice": False}
    axis = {"title": title, "tickCount": layout.ticks}
    legend = {"columns": 3 if layout.narrow else len(names)}
    tone = alt.Color("part:N", scale={"domain": list(names), "range": list(LEVELS[: len(names)])}, legend=legend)
    base = alt.Chart().encode(y=lane(frame, layout, "lane"))
    bars = base.mark_bar(height={"band": 0.72}).encode(
        x=alt.X("value:Q", stack="zero", scale=scale, axis=axis), color=tone, order=alt.Order("place:Q")
    )
    total = (
        base.transform_aggregate(total="sum(value)", groupby=["lane", "path"])
        .transform_calculate(text="format(datum.total, datum.total < 10 ? '.2~f' : '.1f')")
        .mark_text(align="left", dx=6, fontSize=layout.font)
        .encode(x=alt.X("total:Q", scale=scale, axis=axis), text=alt.Text("text:N"), color=alt.ColorValue(INK))
    )
    return by_path([bars, total], frame, layout, plot_width(frame, layout, labels="lane"))
