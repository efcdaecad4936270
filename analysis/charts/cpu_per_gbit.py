"""What a gigabit costs in CPU time."""

import altair as alt
import pyarrow as pa

from analysis.charts._data import Data, intervals
from analysis.charts._marks import lanes
from analysis.charts._theme import WIDE, Look

TITLE = "CPU per Gbit"
READING = "CPU-seconds of all measured nodes above idle, per Gbit received; less is better."
EMPTY = "No trial has both a throughput and a usable figure of its nodes' CPU, so there is no cost to show."
ORDER = 40
SQL = """
    select *, cpu_s_per_gbit as value from visit_means where run_id = $run_id
"""


def frame(data: Data) -> pa.Table:
    """CPU-seconds per Gbit by path and dataplane."""
    return intervals(data, data.by_path(SQL), "s/Gbit", "cpu", geometric=True)


def chart(frame: pa.Table, look: Look = WIDE) -> alt.FacetChart:
    """Bars from zero, with their intervals."""
    return lanes(frame, "CPU time", look, bars=True)
