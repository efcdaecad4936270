"""How soon changes of Services and policies work."""

from typing import Final

from analysis.metrics.metric import ComparedMetric, Metric, TableColumn

METRICS: Final = (
    ComparedMetric(
        name="update_p50_s",
        title="update of the rules, median",
        unit="s",
        kind="programming",
        better="lower",
        curve="an update of the rules takes",
        curve_leads=True,
        table=TableColumn("update p50", "ms", 130),
    ),
    Metric(
        name="update_p99_s",
        title="update of the rules, 99th percentile",
        unit="s",
        kind="tail",
        table=TableColumn("update p99", "ms", 131),
    ),
    Metric(
        name="update_worst_s",
        title="slowest update of the rules",
        unit="s",
        kind="tail",
        visit="max({value})",
        table=TableColumn("slowest update", "ms", 132),
    ),
    Metric(
        name="updates_failed",
        title="updates that failed",
        unit="1",
        kind="programming",
        visit="sum({value})",
        table=TableColumn("updates failed", "", 133),
    ),
    ComparedMetric(
        name="programming_p50_s",
        title="time until a change works, median",
        unit="s",
        kind="programming",
        columns=("programming_p50_s", "programming_s"),  # the single times count in percentiles over visits
        better="lower",
        curve="a change works after",
        curve_leads=True,
        table=TableColumn("change works p50", "ms", 134),
    ),
    ComparedMetric(
        name="programming_p99_s",
        title="time until a change works, 99th percentile",
        unit="s",
        kind="tail",
        better="lower",
        table=TableColumn("change works p99", "ms", 135),
    ),
    Metric(
        name="programming_worst_s",
        title="latest change",
        unit="s",
        kind="tail",
        visit="max({value})",
        table=TableColumn("latest change", "ms", 136),
    ),
    Metric(
        name="programming_failed",
        title="changes that never worked",
        unit="1",
        kind="programming",
        visit="sum({value})",
        table=TableColumn("changes never worked", "", 137),
    ),
)
