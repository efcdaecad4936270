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
        more="connects more slowly",
        less="connects faster",
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
        more="has a slower 99th percentile of connects",
        less="has a faster 99th percentile of connects",
        curve="the slowest hundredth of new connections takes at least",
        table=TableColumn("connect p99", "µs", 70),
    ),
    ComparedMetric(
        name="connects_per_s",
        title="connects per second",
        unit="1/s",
        kind="connect",
        better="higher",
        more="opens more connections a second",
        less="opens fewer connections a second",
        table=TableColumn("connects", "1/s", 75),
    ),
    ComparedMetric(
        name="connect_p999_s",
        title="connect time, 99.9th percentile",
        unit="s",
        kind="tail",
        better="lower",
        more="has a slower 99.9th percentile of connects",
        less="has a faster 99.9th percentile of connects",
        table=TableColumn("connect p99.9", "µs", 72),
    ),
)
