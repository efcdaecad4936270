"""How long a response takes, alone and beside a load."""

from functools import partial

from analysis.charts.drawing import quantiles

TITLE = "Response time"
READING = (
    "Time from a request until its response. "
    + quantiles.READING.format("90 %, 99 %, 99.9 % and the slowest of a visit")
    + " What a load does to it shows where the same path stands twice."
)
EMPTY = "No response was timed: sockperf was not among the trials, or none of its trials was measured."
ORDER = 25
COLUMNS = ("response_p50_s", "response_p90_s", "response_p99_s", "response_p999_s", "response_worst_s")
frame = partial(quantiles.frame, columns=COLUMNS, kind="response")
chart = partial(quantiles.chart, title="response time: median / 90 % / 99 % / 99.9 % / slowest")
