"""How long a connection takes to open."""

from functools import partial

from analysis.charts.drawing import quantiles

TITLE = "Connect time"
READING = f"Time of connect(). {quantiles.READING.format('99 % and 99.9 %')}"
EMPTY = "No connection was timed: the connect probe was not among the trials, or none of its trials was measured."
ORDER = 70
frame = partial(quantiles.frame, columns=("connect_p50_s", "connect_p99_s", "connect_p999_s"), kind="connect")
chart = partial(quantiles.chart, title="connect time: median / 99 % / 99.9 %")
