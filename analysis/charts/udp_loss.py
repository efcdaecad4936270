"""How much of what was sent over UDP did not arrive."""

import altair as alt
import pyarrow as pa

from analysis.charts._data import Data, intervals
from analysis.charts._marks import lanes
from analysis.charts._theme import WIDE, Look

TITLE = "UDP loss"
READING = "Datagrams lost, of those sent. Without a limit on the rate this measures how far the sender outran the path."
EMPTY = "No UDP trial was measured, so there is no loss to show."
ORDER = 60
SQL = """
    select *, loss_ratio as value from visit_means where run_id = $run_id
"""


def frame(data: Data) -> pa.Table:
    """Share of datagrams lost by path and dataplane."""
    return intervals(data, data.by_path(SQL), "", "loss")


def chart(frame: pa.Table, look: Look = WIDE) -> alt.FacetChart:
    """Bars from zero, with their intervals."""
    return lanes(frame, "datagrams lost", look, bars=True)
