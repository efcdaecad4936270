"""Long-lived connections broken by a switch to each dataplane."""

from functools import partial

import pyarrow as pa

from analysis.charts.drawing.data import ChartData, to_frame
from analysis.charts.drawing.marks import lanes
from analysis.summary.figures import switch_costs

TITLE = "Connections broken by switching"
READING = "Share of the long-lived TCP connections, open when the switch began, that died in it; less is better."
EMPTY = "No connections were held open across a switch, so none could break."
ORDER = 86


def frame(data: ChartData) -> pa.Table:
    """A row for each dataplane whose switches had open connections, in per cent."""
    found = {switch.dataplane: switch for switch in switch_costs.switch_costs(data.con, data.run) if switch.is_known}
    return to_frame(
        {"path": "all switches", "unit": "%", "value": 100.0 * (switch.dropped or 0) / (switch.held or 1)}
        | {"low": None, "high": None, "text": switch.broken}
        | data.side(arm)
        for arm in data.run.arms
        if (switch := found.get(arm.name)) is not None
    )


chart = partial(lanes, title="broken", bars=True)
