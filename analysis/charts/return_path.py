"""Whether answers come back through the node that owns the NodePort."""

import altair as alt
import pyarrow as pa

from analysis.charts._data import Data, intervals
from analysis.charts._marks import lanes
from analysis.charts._theme import WIDE, Look

TITLE = "The way back of a NodePort"
READING = (
    "Bytes that the NodePort's node sent per byte of payload received: about 1 where answers pass through it, about 0 "
    "with direct server return."
)
EMPTY = "No trial through a NodePort was measured with that node's byte counters, so the way back is not known."
ORDER = 80
SQL = """
    select *, nat_bytes_per_payload_byte as value from visit_means where run_id = $run_id
"""


def frame(data: Data) -> pa.Table:
    """Bytes through the NodePort's node per payload byte, by path and dataplane."""
    return intervals(data, data.by_path(SQL), "B/B", "return_path")


def chart(frame: pa.Table, look: Look = WIDE) -> alt.FacetChart:
    """Bars from zero, with their intervals."""
    return lanes(frame, "bytes through the NodePort's node per payload byte", look, bars=True)
