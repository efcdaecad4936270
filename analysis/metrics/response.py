"""How long a response takes, and the load at which it was measured."""

from typing import Final

from analysis.metrics.metric import ComparedMetric, Metric, TableColumn

METRICS: Final = (
    ComparedMetric(
        name="response_p50_s",
        title="response time, median",
        unit="s",
        kind="response",
        better="lower",
        leads=True,
        curve="a response takes",
        table=TableColumn("response p50", "µs", 110),
    ),
    ComparedMetric(
        name="response_p99_s",
        title="slow responses, 99th percentile",
        unit="s",
        kind="response",
        better="lower",
        beside="p99",
        table=TableColumn("response p99", "µs", 112),
    ),
    ComparedMetric(
        name="response_p999_s",
        title="slowest responses, 99.9th percentile",
        unit="s",
        kind="tail",
        better="lower",
        table=TableColumn("response p99.9", "µs", 113),
    ),
    Metric(
        name="response_p90_s",
        title="response time, 90th percentile",
        unit="s",
        kind="response",
        table=TableColumn("response p90", "µs", 111),
    ),
    Metric(
        name="response_worst_s",
        title="slowest response",
        unit="s",
        kind="tail",
        visit="max({value})",
        table=TableColumn("slowest", "ms", 114),
    ),
    Metric(
        name="transactions_per_s",
        title="transactions per second",
        unit="1/s",
        kind="response",
        table=TableColumn("transactions", "1/s", 115),
    ),
    Metric(
        name="load_ratio",
        title="load that arrived",
        unit="1",
        kind="response",
        table=TableColumn("load", "%", 116),
    ),
)
