"""The charts: one file each, found by being here, and one for each metric that has its own.

A new chart is a copy of its neighbour. Its module has `TITLE`, `READING` (how to read it), `EMPTY` (why there may be
nothing to draw) and `ORDER` (its place in the report), and `frame(data)`, which asks for what it shows, and
`chart(frame, look)`, which draws it. `KEY = True` puts the key of dataplanes beside it, for a chart that has no room to
label them directly. Modules whose name begins with an underscore are what they share.
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
    """A chart as drawn. `variants`: an SVG for each look; where there was nothing to draw, none, and `empty` says why.

    `key`: whether the dataplanes' key belongs beside it.
    """

    name: str
    title: str
    reading: str
    variants: tuple[str, ...]
    empty: str | None
    key: bool = False


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
    )


def draw(chart: Chart, data: Data) -> Drawing:
    """Draw one chart in every look, or say why there is nothing to draw."""
    return draw_all([chart], data)[0]


def draw_all(charts: Sequence[Chart], data: Data) -> list[Drawing]:
    """Draw charts. While one is being turned into SVG, by a program in another language, the next is prepared."""
    with (
        narrowed(data.con, data.run.run_id),
        ThreadPoolExecutor(1) as painter,
        debug_mode(arg=False),
    ):  # the tests draw each chart with Altair's checks on
        begun = [(chart, [painter.submit(to_svg, *job) for job in _jobs(chart, data)]) for chart in charts]
        return [_drawing(chart, tuple(variant.result() for variant in variants)) for chart, variants in begun]


def _drawing(chart: Chart, variants: tuple[str, ...]) -> Drawing:
    """A chart as drawn; one with a mark of flagged trials in it says what the mark means."""
    legend = f" {LEGEND}" if any(MARKED in variant for variant in variants) else ""
    return Drawing(
        name=chart.name,
        title=chart.title,
        reading=chart.reading + legend,
        variants=variants,
        empty=None if variants else chart.empty,
        key=bool(variants) and chart.key,
    )


def _jobs(chart: Chart, data: Data) -> Iterator[tuple[dict[str, Any], Look, str, str]]:
    frame = chart.frame(data)
    if frame.num_rows:
        for look in LOOKS:
            spec = chart.draw(frame, look).to_dict(format="vega-lite", validate=False)
            yield spec, look, f"{chart.name}-{look.name}", f"{chart.title}. {chart.reading}"
