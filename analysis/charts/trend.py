"""The differences to the baseline over the latest runs."""

from collections.abc import Iterable
from typing import Any

import altair as alt
import pyarrow as pa

from analysis.charts.drawing.data import ChartData, Row, to_frame
from analysis.charts.drawing.marks import SIGNED, colour, column, daggers, hollow, independent_scales, shape
from analysis.charts.drawing.theme import INK, MUTED, WIDE, ChartLayout
from analysis.domain import CELL, Cell
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats.nights.regressions import LevelChange

TITLE = "Trend over runs"
READING = (
    "Throughput against the baseline in each of the latest runs of this environment with the same profile: ratios, "
    "since absolute figures drift with the machine. A dashed line in a dataplane's colour marks the first night of a "
    "new level, with the size of the change."
)
EMPTY = (
    "This is the only run of its environment and profile that compares dataplanes; the trend begins with the second."
)
ORDER = 95
KEY = True
SQL = f"""
    with this as (select environment, parameters->>'$.profile' as profile, started_at from runs where run_id = $run_id),
    latest as (
        select r.run_id, r.started_at from runs as r, this
        where r.environment = this.environment and r.started_at <= this.started_at
          and (r.parameters->>'$.profile') is not distinct from this.profile
        order by r.started_at desc limit 60
    ),
    means as (
        select l.run_id, l.started_at, {CELL}, m.dataplane,
               avg(ln(m.received_bps)) as log,
               bool_or(marks(m.flags, 'throughput')) or count(*) > count(m.received_bps) as flagged
        from measurements as m join latest as l using (run_id)
        where m.received_bps > 0 or voids(m.flags, 'throughput') group by all
    )
    select m.* exclude (log, flagged), m.flagged or b.flagged as flagged, (exp(m.log - b.log) - 1) * 100 as value
    from means as m join means as b using (run_id, {CELL})
    where b.dataplane = $baseline and m.dataplane <> $baseline and m.log is not null and b.log is not null
    order by m.started_at, m.dataplane
"""  # noqa: S608 - the columns of a cell

_HEIGHT = 110
_LABEL_HEIGHT = 12


def frame(data: ChartData) -> pa.Table:
    """A row for each run, path and dataplane of which this run has both; difference to the baseline in per cent.

    Then a row without a value for each change: `size` is its label, `place` the line above the plot in which the label
    stands, and `late` whether it is in the right half.
    """
    if data.run.baseline is None:
        return to_frame([])
    arms = {arm.name: data.side(arm) for arm in data.run.arms}
    found = data.query(SQL, baseline=data.run.baseline.name)
    here = [row for row in found if Cell.of(row) in data.run.cells]
    if len({row["run_id"] for row in here}) < 2:  # noqa: PLR2004 - one run is no trend
        return to_frame([])
    here.sort(key=lambda row: data.run.cells.index(Cell.of(row)))
    axis = {"axis": f"to {data.run.baseline.title}, %", "origin": 0.0}
    rows = [
        {"path": data.path(row), "at": row["started_at"].isoformat(), "value": row["value"], "flagged": row["flagged"]}
        | axis
        | arms[row["dataplane"]]
        for row in here
        if row["dataplane"] in arms
    ]
    changes = [change for change in data.changes if change.metric == THROUGHPUT and change.against is not None]
    return with_changes(data, rows, changes)


def with_changes(data: ChartData, rows: list[Row], changes: Iterable[LevelChange]) -> pa.Table:
    """The frame of a trend: its rows, then one without a value for each certain change in the nights that are drawn.

    Args:
        data: the run that the nights end with.
        rows: `path`, `at` (ISO 8601), `value`, `flagged`, the columns of `ChartData.side`, and, alike in all rows,
            `axis` (the axis's title) and `origin` (the value at which a line is drawn; None: nowhere).
        changes: of the series that are drawn.
    """
    rows = [row | {"size": None, "place": None, "late": None} for row in rows]
    return to_frame([*rows, *_marks(data, rows, changes)])


def _marks(data: ChartData, rows: list[Row], changes: Iterable[LevelChange]) -> list[Row]:
    """A row for each change; the label of a later one stands below that of an earlier one nearby."""
    arms = {arm.name: data.side(arm) for arm in data.run.arms}
    nights = sorted({row["at"] for row in rows})
    marks: list[Row] = []
    for change in changes:
        at = change.began_at.isoformat() if change.began_at else ""
        if change.status == "suspected" or change.gradual or at not in nights:
            continue
        path = data.run.path(change.cell)
        here = nights.index(at)
        taken = {m["place"] for m in marks if m["path"] == path and abs(nights.index(m["at"]) - here) < len(nights) / 3}
        place = next(place for place in range(len(marks) + 1) if place not in taken)
        late = here >= len(nights) / 2
        label = {"size": change.size, "place": place, "late": late}
        drawn = {"path": path, "at": at, "value": None, "flagged": False}
        marks.append(rows[0] | drawn | label | arms[change.dataplane])
    return marks


def chart(frame: pa.Table, layout: ChartLayout = WIDE) -> alt.FacetChart:
    """A small panel for each path, with a line for each dataplane, and a rule for each change."""
    columns = 1 if layout.narrow else 2
    width = layout.width - 70 if layout.narrow else (layout.width - 150) // 2
    side = colour(frame)
    origin = column(frame, "origin")[0]
    signs = {} if origin is None else {"labelExpr": SIGNED}
    axis = {"title": column(frame, "axis")[0], "tickCount": 4, "grid": True} | signs
    at = alt.X("at:T", axis={"title": None, "grid": False, "tickCount": 4, "format": "%-d %b", "labelOverlap": True})
    y = alt.Y("value:Q", scale=_scale(frame), axis=axis)
    base = alt.Chart().encode(x=at, y=y, color=side).transform_filter("isValid(datum.value)")
    dashes = alt.StrokeDashValue([1, 0], condition={"test": "datum.twin", "value": [4, 3]})
    lines = base.mark_line(strokeWidth=1.6).encode(strokeDash=dashes, detail=alt.Detail("dataplane:N"))
    points = base.mark_point(size=34, filled=True, opacity=1).encode(
        fill=side, stroke=side, shape=shape(frame), **hollow(0)
    )
    marks = daggers(base, at, y)
    zero = alt.Chart().transform_aggregate(n="count()").mark_rule(color=MUTED).encode(y=alt.YDatum(origin))
    paths = list(dict.fromkeys(column(frame, "path")))
    header = {"title": None, "labelAnchor": "start", "labelColor": INK}
    layers = [*([] if origin is None else [zero]), *_rules(frame, at, layout), lines, points, marks]
    layered = alt.layer(*layers, width=width, height=_HEIGHT + _labels_height(frame))
    return layered.facet(
        facet=alt.Facet("path:N", sort=paths, header=header, title=None),
        columns=columns,
        data=frame,
        resolve=independent_scales("y") if origin is None else alt.Undefined,
    )


def _labels_height(frame: pa.Table) -> int:
    """The room above the curves for the labels of changes, in pixels."""
    return _LABEL_HEIGHT * (1 + max((place for place in column(frame, "place") if place is not None), default=-1))


def _scale(frame: pa.Table) -> dict[str, Any]:
    """An axis with all values and the origin, and with the labels' room above them; of each panel alone without one."""
    origin = column(frame, "origin")[0]
    if origin is None:
        room = _labels_height(frame)
        return {"zero": False, "range": [_HEIGHT + room, room]}
    values = [origin, *(value for value in column(frame, "value") if value is not None)]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    return {"domain": [low, high + spread * (_labels_height(frame) + 4) / _HEIGHT], "nice": False}


def _rules(frame: pa.Table, at: alt.X, layout: ChartLayout) -> list[alt.Chart]:
    """A rule at each change with its label beside it; labels of one path stand one below the other."""
    places = sorted({place for place in column(frame, "place") if place is not None})
    if not places:
        return []
    changes = alt.Chart().transform_filter("isValid(datum.size)").encode(x=at)
    layers = [changes.mark_rule(strokeDash=[5, 3], strokeWidth=1.4).encode(color=colour(frame))]
    for place in places:
        style: dict[str, Any] = {"y": 6 + place * _LABEL_HEIGHT, "fontSize": layout.font, "fontWeight": 600}
        here = changes.transform_filter(f"datum.place === {place}").encode(
            text=alt.Text("size:N"), color=alt.ColorValue(INK)
        )
        layers.append(here.transform_filter("!datum.late").mark_text(align="left", dx=4, **style))
        layers.append(here.transform_filter("datum.late").mark_text(align="right", dx=-4, **style))
    return layers
