"""The first chart of a report: what each dataplane gains or loses against the baseline."""

import pyarrow as pa

from analysis.charts._data import Data
from analysis.charts._forest import differences, forest
from analysis.stats.metrics import LEADING

TITLE = "What changes"
READING = (
    "Throughput, and connect time, against the baseline: a mark is the difference, its line the interval. In 95 % of "
    "runs all these lines hold the true difference together; one that leaves 0 out is a difference."
)
EMPTY = "No two dataplanes were measured on the same path, so there is no difference to show."
ORDER = 10


def frame(data: Data) -> pa.Table:
    """The comparisons by the leading metrics: throughput on each path, then connect time."""
    return differences(data, [metric.name for metric in LEADING])


chart = forest
