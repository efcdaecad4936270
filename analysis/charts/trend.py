"""Whether the answer changed since the last runs."""

import altair as alt
import pyarrow as pa

from analysis.charts._data import Data
from analysis.charts._data import frame as to_frame
from analysis.charts._marks import SIGNED, colour, column, hollow, shape
from analysis.charts._theme import INK, MUTED, WIDE, Look

TITLE = "Trend over runs"
READING = (
    "Throughput against the baseline in each of the latest runs of this environment with the same profile: ratios, "
    "since absolute figures drift with the machine."
)
EMPTY = (
    "This is the only run of its environment and profile that compares dataplanes; the trend begins with the second."
)
ORDER = 95
KEY = True
SQL = """
    with this as (select environment, parameters->>'$.profile' as profile, started_at from runs where run_id = $run_id),
    latest as (
        select r.run_id, r.started_at from runs as r, this
        where r.environment = this.environment and r.started_at <= this.started_at
          and (r.parameters->>'$.profile') is not distinct from this.profile
        order by r.started_at desc limit 60
    ),
    means as (
        select l.run_id, l.started_at, m.topology, m.protocol, m.direction, m.dataplane, avg(ln(m.received_bps)) as log
        from measurements as m join latest as l using (run_id) where m.received_bps > 0 group by all
    )
    select m.* exclude (log), (exp(m.log - b.log) - 1) * 100 as value
    from means as m join means as b using (run_id, topology, protocol, direction)
    where b.dataplane = $baseline and m.dataplane <> $baseline order by m.started_at
"""


def frame(data: Data) -> pa.Table:
    """A row for each run, path and dataplane of which this run has both; difference to the baseline in per cent."""
    if data.run.baseline is None:
        return to_frame([])
    arms = {arm.name: data.side(arm) for arm in data.run.arms}
    found = data.ask(SQL, baseline=data.run.baseline.name)
    here = [row for row in found if (row["topology"], row["protocol"], row["direction"]) in data.run.cells]
    if len({row["run_id"] for row in here}) < 2:  # noqa: PLR2004 - one run is no trend
        return to_frame([])
    cells = list(data.run.cells)
    here.sort(key=lambda row: cells.index((row["topology"], row["protocol"], row["direction"])))
    return to_frame(
        {
            "path": data.path(row),
            "at": row["started_at"].isoformat(),
            "value": row["value"],
            "baseline": data.run.baseline.title,
        }
        | arms[row["dataplane"]]
        for row in here
        if row["dataplane"] in arms
    )


def chart(frame: pa.Table, look: Look = WIDE) -> alt.FacetChart:
    """A small panel for each path, with a line for each dataplane."""
    columns = 1 if look.narrow else 2
    width = look.width - 70 if look.narrow else (look.width - 150) // 2
    against = column(frame, "baseline")[0]
    side = colour(frame)
    base = alt.Chart().encode(
        x=alt.X("at:T", axis={"title": None, "grid": False, "tickCount": 4, "format": "%-d %b", "labelOverlap": True}),
        y=alt.Y("value:Q", axis={"title": f"to {against}, %", "labelExpr": SIGNED, "tickCount": 4, "grid": True}),
        color=side,
    )
    dashes = alt.StrokeDashValue([1, 0], condition={"test": "datum.twin", "value": [4, 3]})
    lines = base.mark_line(strokeWidth=1.6).encode(strokeDash=dashes, detail=alt.Detail("dataplane:N"))
    points = base.mark_point(size=34, filled=True, opacity=1).encode(
        fill=side, stroke=side, shape=shape(frame), **hollow(0)
    )
    zero = alt.Chart().transform_aggregate(n="count()").mark_rule(color=MUTED).encode(y=alt.YDatum(0))
    paths = list(dict.fromkeys(column(frame, "path")))
    header = {"title": None, "labelAnchor": "start", "labelColor": INK}
    return (
        alt.layer(zero, lines, points)
        .properties(width=width, height=110)
        .facet(facet=alt.Facet("path:N", sort=paths, header=header, title=None), columns=columns, data=frame)
    )
