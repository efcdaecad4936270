"""The bar charts of single metrics, made from the metrics' entries."""

from functools import partial

import pyarrow as pa

from analysis.charts.drawing.chart import Chart
from analysis.charts.drawing.data import Data, intervals
from analysis.charts.drawing.marks import lanes
from analysis.metrics import METRICS
from analysis.metrics.metric import BarChart, ComparedMetric, Metric


def bar_charts() -> list[Chart]:
    """A chart for each metric that has one of its own."""
    return [_chart(metric, metric.chart) for metric in METRICS if metric.chart is not None]


def _chart(metric: Metric, bars: BarChart) -> Chart:
    geometric = isinstance(metric, ComparedMetric) and metric.scale == "ratio"  # like its comparisons

    def frame(data: Data) -> pa.Table:
        sql = f"select *, {metric.name} as value from visit_means where run_id = $run_id"  # noqa: S608 - a metric's name
        return intervals(data, data.by_path(sql), metric.shown_unit, metric.kind, geometric=geometric)

    return Chart(
        name=bars.name,
        title=bars.title,
        reading=bars.reading,
        empty=bars.empty,
        place=bars.place,
        frame=frame,
        draw=partial(lanes, title=bars.axis, bars=True),
    )
