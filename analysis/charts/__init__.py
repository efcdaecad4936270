"""The charts: one for each module of this package, and one for each metric whose entry has a chart.

The module of a chart has `TITLE`, `READING` (how to read it), `EMPTY` (why there may be nothing to draw) and `ORDER`
(its place in the report), `frame(data)`, which returns the rows to show, and `chart(frame, look)`, which draws them.
`KEY = True` puts the key of dataplanes beside it, and `SECTION` names the section of the report that it belongs to.
Modules whose name begins with an underscore are shared code.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from altair.utils.schemapi import debug_mode

from analysis.charts._bars import bar_charts
from analysis.charts._chart import Chart
from analysis.charts._data import Data, narrowed
from analysis.charts._svg import to_svg
from analysis.charts._theme import LOOKS, Look
from analysis.flags import LEGEND, MARKED

__all__ = ["Chart", "Data", "Drawing", "catalogue", "draw", "draw_all"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart as drawn: an SVG for each look; none where there is nothing to draw."""

    chart: Chart
    variants: tuple[str, ...]

    @property
    def reading(self) -> str:
        """How to read it, with the meaning of the mark of flagged trials where the mark occurs."""
        is_marked = any(MARKED in variant for variant in self.variants)
        return f"{self.chart.reading} {LEGEND}" if is_marked else self.chart.reading


def catalogue() -> list[Chart]:
    """Every chart, in the order of the report."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
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


def draw(chart: Chart, data: Data) -> Drawing:
    """Draw one chart in every look."""
    return draw_all([chart], data)[0]


def draw_all(charts: Sequence[Chart], data: Data) -> list[Drawing]:
    """Draw charts. The next is prepared while one is being converted to SVG, which releases the GIL."""
    with (
        narrowed(data.con, data.run.run_id),
        ThreadPoolExecutor(1) as pool,
        debug_mode(arg=False),
    ):  # the tests draw each chart with Altair's validation
        jobs = [(chart, [pool.submit(to_svg, *job) for job in _jobs(chart, data)]) for chart in charts]
        return [Drawing(chart, tuple(variant.result() for variant in variants)) for chart, variants in jobs]


def _jobs(chart: Chart, data: Data) -> Iterator[tuple[dict[str, Any], Look, str, str]]:
    frame = chart.frame(data)
    if frame.num_rows:
        for look in LOOKS:
            spec = chart.draw(frame, look).to_dict(format="vega-lite", validate=False)
            yield spec, look, f"{chart.name}-{look.name}", f"{chart.title}. {chart.reading}"
