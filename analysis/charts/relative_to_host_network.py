"""The throughput of each path as a share of the host network's."""

from functools import partial

import pyarrow as pa

from analysis.charts.drawing.data import ChartData, intervals
from analysis.charts.drawing.marks import lanes
from analysis.formatting import SHARE

TITLE = "Share of the host network"
READING = (
    "Throughput of each path, divided by that between the nodes' own networks just before and after it, or, where that "
    "is not known, in the same visit. It is no neutral control: a dataplane changes it too, and what both have in "
    "common cannot be seen here."
)
EMPTY = "The host network was not measured beside another path, so there is nothing to divide by."
ORDER = 30
SQL = """
    with host as (
        select visit, tool, transport, scale, exp(avg(ln(received_bps))) as bps, sum(throughput_flagged) as flagged,
               sum(throughput_left_out) as left_out
        from visit_means where run_id = $run_id and topology = 'node-to-node' and received_bps > 0 group by all
    )
    select v.* replace (v.throughput_flagged + coalesce(h.flagged, 0) as throughput_flagged,
                        v.throughput_left_out + coalesce(h.left_out, 0) as throughput_left_out),
           coalesce(v.host_network_ratio, v.received_bps / h.bps) as value
    from visit_means as v left join host as h using (visit, tool, transport, scale)
    where v.run_id = $run_id and v.topology <> 'node-to-node'
"""


def frame(data: ChartData) -> pa.Table:
    """Throughput as a share of the host network's, by path and dataplane."""
    return intervals(data, data.by_path(SQL), SHARE, "throughput", geometric=True)


chart = partial(lanes, title="of the host network", bars=True)
