"""The charts: one for each module of this package, and one for each metric whose entry has a chart.

The module of a chart has `TITLE`, `READING` (how to read it), `EMPTY` (why there may be nothing to draw) and `ORDER`
(its place in the report), `frame(data)`, which returns the rows to show, and `chart(frame, layout)`, which draws them.
`KEY = True` puts the key of dataplanes beside it, and `SECTION` names the section of the report that it belongs to.
Modules whose name begins with an underscore are shared code.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from altair.utils.schemapi import debug_mode

from analysis.charts.drawing import trials
from analysis.charts.drawing.bars import bar_charts
from analysis.charts.drawing.chart import Chart
from analysis.charts.drawing.data import ChartData, narrowed
from analysis.charts.drawing.svg import Specs, to_specs, to_svg
from analysis.charts.drawing.theme import LAYOUTS
from analysis.flags import LEGEND, MARKED
from analysis.metrics.metric import Metric

__all__ = ["Chart", "ChartData", "Drawing", "Specs", "catalogue", "draw_all", "narrowed", "trials_by_metric"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart as drawn: an SVG for each layout, and what it was drawn from; none where there is nothing to draw."""

    chart: Chart
    variants: tuple[str, ...]
    specs: Specs

    @property
    def reading(self) -> str:
        """How to read it, with the meaning of the mark of flagged trials where the mark occurs."""
        is_marked = any(MARKED in variant for variant in self.variants)
        return f"{self.chart.reading} {LEGEND}" if is_marked else self.chart.reading


def catalogue() -> list[Chart]:
    """Every chart, in the order of the report."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg]
    return sorted([*bar_charts(), *map(_of_module, names)], key=lambda chart: (chart.place, chart.name))


def _of_module(name: str) -> Chart:
    module = importlib.import_module(f"{__name__}.{name}")
    return Chart(
        name=name,
        title=module.TITLE,
        reading=module.READING,
        empty=module.EMPTY,
        place=module.ORDER,
        frame=module.frame,
        draw=module.chart,
        key=getattr(module, "KEY", False),
        section=getattr(module, "SECTION", ""),
    )


def draw_all(charts: Sequence[Chart], data: ChartData) -> list[Drawing]:
    """Draw charts. The next is prepared while one is being converted to SVG, which releases the GIL."""
    with (
        narrowed(data.con, data.run.run_id),
        ThreadPoolExecutor(1) as pool,
        debug_mode(arg=False),
    ):  # the tests draw each chart with Altair's validation
        jobs = []
        for chart in charts:
            specs = to_specs(chart.frame(data), chart.draw)
            about = f"{chart.title}. {chart.reading}"
            drawn = [pool.submit(to_svg, specs[layout.name], layout, chart.name, about) for layout in LAYOUTS if specs]
            jobs.append((chart, drawn, specs))
        return [Drawing(chart, tuple(svg.result() for svg in drawn), specs) for chart, drawn, specs in jobs]


def trials_by_metric(data: ChartData) -> tuple[Specs, list[tuple[Metric, list[dict[str, Any]]]]]:
    """The chart of every trial, for any metric, and each metric that was measured with the rows of its means."""
    with narrowed(data.con, data.run.run_id), debug_mode(arg=False):
        specs = to_specs(trials.lanes_of(data), trials.trials)
        return specs, [(metric, frame.to_pylist()) for metric, frame in trials.metric_frames(data)]
