"""Memory in use on the nodes, idle and under load."""

from functools import partial

import pyarrow as pa

from analysis.charts.drawing.data import ChartData, intervals
from analysis.charts.drawing.marks import lanes

TITLE = "Memory"
READING = (
    "Memory in use on each node, with nothing sent and while measuring: mean over visits. The axis need not begin at 0."
)
EMPTY = "No node's memory was recorded, so there is none to show."
ORDER = 55
SQL = """
    select node || ', idle' as path, dataplane, visit, avg(memory_used_bytes) as value,
           0 as memory_flagged, 0 as memory_left_out
    from idle_usage where run_id = $run_id and counts(proof, environment) group by all
    union all
    select node || ', measuring' as path, dataplane, visit, avg(memory_used_bytes) as value,
           count(*) filter (marks(flags, 'memory')) as memory_flagged,
           count(*) filter (voids(flags, 'memory')) as memory_left_out
    from node_usage where run_id = $run_id group by all
    order by path, visit
"""


def frame(data: ChartData) -> pa.Table:
    """Memory by node and state, and dataplane."""
    return intervals(data, data.query(SQL), "B", "memory")


chart = partial(lanes, title="memory in use", zero=False)
