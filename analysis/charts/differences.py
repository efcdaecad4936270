"""The first chart of a report: what each dataplane gains or loses against the baseline."""

import altair as alt
import pyarrow as pa

from analysis.charts._data import Data
from analysis.charts._forest import differences, forest
from analysis.charts._theme import WIDE, Look
from analysis.stats.metrics import LEADING

TITLE = "What changes"
READING = (
    "Throughput, and connect time, against the baseline: a mark is the difference, its line the 95 % interval; "
    "a difference inside the grey band would have escaped this run."
)
EMPTY = "No two dataplanes were measured on the same path, so there is no difference to show."
ORDER = 10


def frame(data: Data) -> pa.Table:
    """By the metrics that answer for their paths: throughput on each, then connect time."""
    return differences(data, [metric.name for metric in LEADING])


def chart(frame: pa.Table, look: Look = WIDE) -> alt.FacetChart:
    """A forest plot."""
    return forest(frame, look)
