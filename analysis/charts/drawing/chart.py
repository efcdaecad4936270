"""The type of a chart: its texts, the rows it shows, and the function that draws them."""

from collections.abc import Callable
from dataclasses import dataclass

import altair as alt
import pyarrow as pa

from analysis.charts.drawing.data import ChartData
from analysis.charts.drawing.theme import ChartLayout


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the report.

    Attributes:
        name: its id in the page.
        title: its heading.
        reading: how to read it.
        empty: why there may be nothing to draw.
        place: charts are sorted by it.
        frame: returns the rows to draw.
        draw: draws a frame that has rows.
        key: whether the key of dataplanes stands beside it, for a chart that does not label them.
        section: the section of the report that it belongs to, and is left out with; empty: the charts' own.
    """

    name: str
    title: str
    reading: str
    empty: str
    place: int
    frame: Callable[[ChartData], pa.Table]
    draw: Callable[[pa.Table, ChartLayout], alt.TopLevelMixin]
    key: bool = False
    section: str = ""
