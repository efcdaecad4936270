"""The bar charts of single metrics, made from the metrics' entries."""

from functools import partial

from analysis.charts.drawing.chart import Chart
from analysis.charts.drawing.data import metric_frame
from analysis.charts.drawing.marks import lanes
from analysis.metrics import METRICS


def bar_charts() -> list[Chart]:
    """A chart for each metric that has one of its own."""
    return [
        Chart(
            name=bars.name,
            title=bars.title,
            reading=bars.reading,
            empty=bars.empty,
            place=bars.place,
            frame=partial(metric_frame, metric=metric),
            draw=partial(lanes, title=bars.axis, bars=True),
        )
        for metric in METRICS
        if (bars := metric.chart) is not None
    ]
