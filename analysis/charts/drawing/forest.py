"""Forest plots: the difference to the baseline, its interval and the margin; the outcome as shape and colour."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Final

import altair as alt
import pyarrow as pa

from analysis.charts.drawing.data import ChartData, Row, to_frame
from analysis.charts.drawing.marks import by_path, column, lane, plot_width
from analysis.charts.drawing.theme import BETTER, GROUND, INK, MUTED, SAME, WIDE, WORSE, ChartLayout
from analysis.metrics.throughput import HOST_NETWORK_RATIO, THROUGHPUT
from analysis.stats.contrasts.contrast import Contrast
from analysis.stats.estimates.margins import least_change
from analysis.stats.verdicts.comparison import Comparison

_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100)

_SPAN_LEAST: Final = 1.12
"""The axis extends at least 12 % to both sides, so that noise never fills it."""

OUTCOMES: Final = {
    "better": ("triangle-up", BETTER),
    "worse": ("triangle-down", WORSE),
    "the same": ("square", SAME),
    "undecided": ("circle", MUTED),
}
"""Shape and colour of each outcome; an undecided one is hollow."""

MARKS: Final = (
    "▲ better, ▼ worse: the interval leaves zero out. ■ the same: it lies inside the margin, the dashed lines. "
    "○ undecided: neither; the truth lies somewhere in the interval."
)

_REACH: Final = 1.6
"""How far beyond the outermost estimate the axis extends for an interval; a longer one is cut at the edge."""


def differences(data: ChartData, metrics: Sequence[str]) -> pa.Table:
    """A row for each comparison by these metrics; `value`, `low`, `high` are ratios to the baseline."""
    rows: list[Row] = []
    mixed = len({c.better for c in data.comparisons if c.metric in metrics}) > 1
    for metric in metrics:
        for c in data.comparisons:
            if c.metric != metric or c.scale != "ratio" or not c.against_baseline:
                continue
            name = c.path if metric in {THROUGHPUT, HOST_NETWORK_RATIO} else f"{c.path}: {c.metric_title}"
            name += " (left is better)" if mixed and c.better == "lower" else ""
            outcome = {True: "better", False: "worse", None: "the same" if c.decided else "undecided"}[c.gain]
            rows.append(
                {"path": name, "cell": data.run.path(c.cell), "baseline": data.run.arm(c.baseline).title}
                | ratios(c, outcome, c.doubts.mark)
                | data.side(data.run.arm(c.dataplane))
            )
    return to_frame(rows)


def ratios(found: Comparison | Contrast, outcome: str, mark: str) -> Row:
    """The columns of a difference: ratio, interval, margin, one of `OUTCOMES`, text; `mark`: that of flagged trials."""
    return {
        "value": _ratio_of(found.change),
        "low": _ratio_of(found.low),
        "high": _ratio_of(found.high),
        "outcome": outcome,
        "margin_low": 1 + least_change(found.margin_ratio, "ratio"),
        "margin_high": 1 + found.margin_ratio,
        "text": found.estimate or f"undecided{mark}",
    }


def _ratio_of(change: float | None) -> float | None:
    """A change as a ratio; None also where it has no place on the axis.

    That is one without end, or with a figure below zero, as CPU less than idle.
    """
    return None if change is None or not -1 < change < math.inf else 1 + change


def _domain(table: pa.Table) -> tuple[float, float]:
    centres = [v for v in column(table, "value") if v] or [1.0]
    ends = [v for name in ("low", "high") for v in column(table, name) if v and math.isfinite(v)]
    low_limit, high_limit = min(1.0, *centres) / _REACH, max(1.0, *centres) * _REACH
    low = max(low_limit, min([*ends, *centres, 1 / _SPAN_LEAST]))
    high = min(high_limit, max([*ends, *centres, _SPAN_LEAST]))
    return low / 1.02, high * 1.02


def forest(table: pa.Table, layout: ChartLayout = WIDE) -> alt.FacetChart:
    """Lanes of dataplanes below the name of each path; on a logarithmic axis half and double are equally far from 1."""
    low, high = _domain(table)
    scale = {"type": "log", "domain": [low, high], "nice": False, "clamp": True}
    ticks = _ticks(low, high, 5 if layout.narrow else 9)
    label = "datum.value == 1 ? '0' : (datum.value > 1 ? '+' : '−') + format(abs(datum.value - 1) * 100, '.3~g') + ' %'"
    against = next(iter(column(table, "baseline")))
    axis = {"title": f"difference to {against}, per cent", "values": ticks, "labelExpr": label, "grid": True}

    base = alt.Chart().encode(y=lane(table, layout))
    shapes, colours = zip(*OUTCOMES.values(), strict=True)
    domain = [*OUTCOMES]
    outcome = alt.Color("outcome:N", scale={"domain": domain, "range": colours}, legend=None)
    fill = alt.Fill("outcome:N", scale={"domain": domain, "range": [*colours[:-1], GROUND]}, legend=None)
    shape = alt.Shape("outcome:N", scale={"domain": domain, "range": shapes}, legend=None)
    x = partial(alt.X, scale=scale, axis=axis)
    clipped = base.transform_calculate(
        low=f"clamp(datum.low, {low}, {high})",
        high=f"clamp(datum.high, {low}, {high})",
    ).transform_filter("isValid(datum.value)")
    width = plot_width(table, layout, right=94 if layout.narrow else 140)
    layers = [
        alt.Chart().mark_rule(color=MUTED, strokeWidth=1).encode(x=x("one:Q")).transform_calculate(one="1"),
        *(
            alt.Chart().mark_rule(color=MUTED, strokeWidth=1, strokeDash=[3, 3]).encode(x=x(f"{margin}:Q"))
            for margin in ("margin_low", "margin_high")
        ),
        clipped.mark_rule(strokeWidth=2.4).encode(x=x("low:Q"), x2=alt.X2("high:Q"), color=outcome),
        base.transform_filter("isValid(datum.value)")
        .mark_point(size=72, strokeWidth=1.8, filled=True, opacity=1)
        .encode(x=x("value:Q"), stroke=outcome, shape=shape, fill=fill),
        base.mark_text(align="left", dx=8, fontSize=layout.font, x=width).encode(
            text=alt.Text("text:N"),
            color=alt.ColorValue(INK, condition={"test": "datum.outcome == 'undecided'", "value": MUTED}),
        ),
    ]
    return by_path(layers, table, layout, width)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """1 and round ratios in the domain, about `most` of them."""
    gap = math.log(high / low) / most
    kept = [1.0]
    for tick in sorted((t for t in _TICKS if low <= t <= high), key=lambda t: abs(math.log(t))):
        if all(abs(math.log(tick / other)) >= gap for other in kept):
            kept.append(tick)
    return sorted(kept)
