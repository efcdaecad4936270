"""What each dataplane costs against the baseline."""

import pyarrow as pa

from analysis.charts.drawing.data import Data
from analysis.charts.drawing.forest import differences, forest
from analysis.metrics import COMPARED

TITLE = "What it costs"
READING = (
    "CPU time per Gbit, and the slowest hundredth and thousandth of connects and responses, against the baseline; less "
    "is better. "
    "Marks and lines as in the first chart."
)
EMPTY = "No two dataplanes have CPU figures on the same path, so there is no difference in cost to show."
ORDER = 15


def frame(data: Data) -> pa.Table:
    """The comparisons by what is spent: CPU per Gbit on each path, then the tails of connect and response times."""
    return differences(data, [metric.name for metric in COMPARED if not metric.leads and metric.better == "lower"])


chart = forest
