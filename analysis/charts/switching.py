"""What a switch to each dataplane takes."""

import altair as alt
import pyarrow as pa

from analysis.charts._data import Data
from analysis.charts._data import frame as to_frame
from analysis.charts._marks import parts
from analysis.charts._theme import WIDE, Look

TITLE = "Switching"
READING = "Time from the first change until the dataplane was proven to carry traffic: mean over visits."
EMPTY = "No switch was timed, so there is none to show."
ORDER = 85
PARTS = ("switch", "settle and proof")
SQL = """
    select dataplane_requested as dataplane, avg(switch_s) as switch, avg(settle_s) as settle
    from visits where run_id = $run_id and error is null group by all
"""


def frame(data: Data) -> pa.Table:
    """A row for each dataplane and part, in seconds."""
    found = {row["dataplane"]: row for row in data.ask(SQL)}
    return to_frame(
        {"path": "each visit", "lane": arm.title, "part": part, "place": place, "value": value} | data.side(arm)
        for arm in data.run.arms
        if arm.name in found
        for place, (part, value) in enumerate(
            zip(PARTS, (found[arm.name]["switch"], found[arm.name]["settle"]), strict=True)
        )
        if value is not None
    )


def chart(frame: pa.Table, look: Look = WIDE) -> alt.FacetChart:
    """Stacked bars."""
    return parts(frame, "time, s", look, PARTS)
