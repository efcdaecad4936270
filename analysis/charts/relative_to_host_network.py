"""The throughput of each path as a share of node to node."""

from functools import partial

import pyarrow as pa

from analysis.charts._data import Data, intervals
from analysis.charts._marks import lanes
from analysis.formatting import SHARE

TITLE = "Share of node to node"
READING = (
    "Throughput of each path, divided by that of node to node in the same visit. Node to node is no neutral control: a "
    "dataplane changes it too, and what both have in common cannot be seen here."
)
EMPTY = "Node to node was not measured beside another path in the same way, so there is nothing to divide by."
ORDER = 30
SQL = """
    with host as (
        select visit, tool, transport, exp(avg(ln(received_bps))) as bps, sum(throughput_flagged) as flagged,
               sum(throughput_left_out) as left_out
        from visit_means where run_id = $run_id and topology = 'node-to-node' and received_bps > 0 group by all
    )
    select v.* replace (v.throughput_flagged + h.flagged as throughput_flagged,
                        v.throughput_left_out + h.left_out as throughput_left_out),
           v.received_bps / h.bps as value
    from visit_means as v join host as h using (visit, tool, transport)
    where v.run_id = $run_id and v.topology <> 'node-to-node'
"""


def frame(data: Data) -> pa.Table:
    """Throughput as a share of node to node's, by path and dataplane."""
    return intervals(data, data.by_path(SQL), SHARE, "throughput", geometric=True)


chart = partial(lanes, title="of node to node", bars=True)
