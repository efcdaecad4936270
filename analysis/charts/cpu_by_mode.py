"""The CPU time of each node by mode while a path is measured."""

from functools import partial

import pyarrow as pa

from analysis.charts.drawing.data import ChartData, to_frame
from analysis.charts.drawing.marks import parts
from analysis.domain import CELL
from analysis.flags import MARKED

TITLE = "CPU by mode"
READING = (
    "Busy share of all cores of a node by CPU mode: forwarding packets is mostly softirq. "
    "Means over the trials whose CPU columns add up; idle use is not subtracted."
)
EMPTY = "No node's CPU time was recorded by mode, so there is none to show."
ORDER = 50
MODES = ("user", "system", "softirq", "irq", "steal")
SQL = f"""
    select {CELL}, dataplane, node, avg(user_ratio + nice_ratio) as user,
           avg(system_ratio) as system, avg(softirq_ratio) as softirq, avg(irq_ratio) as irq, avg(steal_ratio) as steal,
           bool_or(marks(flags, 'cpu_modes') or voids(flags, 'cpu_modes')) as flagged
    from node_usage where run_id = $run_id group by all order by node
"""  # noqa: S608 - the columns of a cell


def frame(data: ChartData) -> pa.Table:
    """A row for each path, dataplane, node and mode; `value` in per cent of the node's cores."""
    rows = data.by_path(SQL)
    several = len({row["node"] for row in rows}) > 1
    arms = {arm.name: place for place, arm in enumerate(data.run.arms)}
    paths = list(dict.fromkeys(row["path"] for row in rows))
    rows.sort(key=lambda row: (paths.index(row["path"]), arms[row["dataplane"]]))
    table = []
    for row in rows:
        side = data.side(data.run.arm(row["dataplane"]))
        lane = f"{side['dataplane']}, {row['node']}" if several else side["dataplane"]
        lane += MARKED if row["flagged"] else ""
        table += [
            {"path": row["path"], "lane": lane, "part": mode, "place": place, "value": row[mode] * 100} | side
            for place, mode in enumerate(MODES)
            if row[mode] is not None
        ]
    return to_frame(table)


chart = partial(parts, title="busy, % of the node's cores", names=MODES)
