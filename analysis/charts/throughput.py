"""How much each path carries in each dataplane."""

import altair as alt
import pyarrow as pa

from analysis.charts._data import Data, intervals
from analysis.charts._marks import lanes
from analysis.charts._theme import WIDE, Look

TITLE = "Throughput"
READING = "Payload that arrived, mean over visits; the line is its 95 % interval."
EMPTY = "No throughput was measured, so there is none to show."
ORDER = 20
SQL = "select * exclude (received_bps), received_bps as value from visit_means where run_id = $run_id"


def frame(data: Data) -> pa.Table:
    """Throughput by path and dataplane."""
    return intervals(data, data.by_path(SQL), "bit/s", "throughput", geometric=True)


def chart(frame: pa.Table, look: Look = WIDE) -> alt.FacetChart:
    """Bars from zero, with their intervals."""
    return lanes(frame, "throughput", look, bars=True)
