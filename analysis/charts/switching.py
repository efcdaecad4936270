"""The time that a switch to each dataplane takes."""

from functools import partial

import pyarrow as pa

from analysis.charts.drawing.data import ChartData, to_frame
from analysis.charts.drawing.marks import parts

TITLE = "Switching"
READING = "Time from the first change until the dataplane was proven to carry traffic: mean over visits."
EMPTY = "No switch was timed, so there is none to show."
ORDER = 85
PARTS = ("switch", "settle and proof")
SQL = """
    select dataplane_requested as dataplane, avg(switch_s) as switch, avg(settle_s) as "settle and proof"
    from visits where run_id = $run_id and error is null group by all
"""


def frame(data: ChartData) -> pa.Table:
    """A row for each dataplane and part, in seconds."""
    found = {row["dataplane"]: row for row in data.query(SQL)}
    return to_frame(
        {"path": "each visit", "lane": arm.title, "part": part, "place": place, "value": value} | data.side(arm)
        for arm in data.run.arms
        if arm.name in found
        for place, part in enumerate(PARTS)
        if (value := found[arm.name][part]) is not None
    )


chart = partial(parts, title="time, s", names=PARTS)
