"""What a chart is: how it is headed and read, which rows it shows, and how these are drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import altair as alt
import pyarrow as pa

from analysis.charts._data import Data
from analysis.charts._theme import Look


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the report.

    Attributes:
        name: of the chart, in the page.
        title: its heading.
        reading: how to read it.
        empty: why there may be nothing to draw.
        place: where it stands in the report; charts are sorted by it.
        frame: gives the rows to draw.
        draw: draws a frame that has rows.
        key: whether the key of dataplanes stands beside it, since it has no room to label them directly.
    """

    name: str
    title: str
    reading: str
    empty: str
    place: int
    frame: Callable[[Data], pa.Table]
    draw: Callable[[pa.Table, Look], alt.TopLevelMixin]
    key: bool = False
