"""How long new connections take."""

from typing import Final

from analysis.metrics.metric import ComparedMetric, TableColumn

METRICS: Final = (
    ComparedMetric(
        name="connect_p50_s",
        title="connect time, median",
        unit="s",
        kind="connect",
        better="lower",
        leads=True,
        curve="a new connection takes",
        table=TableColumn("connect p50", "µs", 60),
    ),
    ComparedMetric(
        name="connect_p99_s",
        title="connect time, 99th percentile",
        unit="s",
        kind="connect",
        better="lower",
        curve="the slowest hundredth of new connections takes at least",
        table=TableColumn("connect p99", "µs", 70),
    ),
    ComparedMetric(
        name="connects_per_s",
        title="connects per second",
        unit="1/s",
        kind="connect",
        better="higher",
        table=TableColumn("connects", "1/s", 75),
    ),
    ComparedMetric(
        name="connect_p999_s",
        title="connect time, 99.9th percentile",
        unit="s",
        kind="tail",
        better="lower",
        table=TableColumn("connect p99.9", "µs", 72),
    ),
)
