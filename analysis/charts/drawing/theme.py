"""Colours, sizes and fonts of all charts. The page's style maps each ink to its light or dark CSS variable."""

from dataclasses import dataclass
from typing import Any, Final

INK: Final = "#1b1f24"
MUTED: Final = "#59636e"
GRID: Final = "#dde1e6"
BETTER: Final = "#0a7a62"
WORSE: Final = "#b8431f"
SAME: Final = "#3d5a80"
GROUND: Final = "#fefefe"
LEVELS: Final = ("#c9d1da", "#9aa6b4", "#66758a", "#3e4d63", "#a8485c")
"""For parts of a whole that are not dataplanes: unlike every dataplane's colour."""

INKS: Final = {
    "ink": INK,
    "muted": MUTED,
    "grid": GRID,
    "better": BETTER,
    "worse": WORSE,
    "same": SAME,
    "ground": GROUND,
} | {f"level-{number}": colour for number, colour in enumerate(LEVELS, 1)}
"""CSS variable -> its colour in a chart."""

SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")


@dataclass(frozen=True, slots=True)
class ChartLayout:
    """The layout of a chart: `width` of the whole, `font` size of the labels and height of a `lane`, in pixels."""

    name: str
    width: int
    font: int
    lane: int

    @property
    def narrow(self) -> bool:
        """Whether this is the variant for a phone or the frame of a workflow's artifact."""
        return self.name == "narrow"

    @property
    def ticks(self) -> int:
        """About how many ticks an axis of values has room for."""
        return 4 if self.narrow else 7


WIDE: Final = ChartLayout("wide", 820, 12, 20)
NARROW: Final = ChartLayout("narrow", 358, 11, 19)
LAYOUTS: Final = (WIDE, NARROW)


def config(layout: ChartLayout) -> dict[str, Any]:
    """Vega-Lite's configuration for a layout."""
    label = {"labelColor": MUTED, "labelFontSize": layout.font, "titleColor": MUTED, "titleFontSize": layout.font}
    return {
        "aria": False,
        "background": None,
        "font": "Liberation Sans, Arial, sans-serif",
        "padding": 2,
        "view": {"stroke": None},
        "axis": label
        | {
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "gridColor": GRID,
            "domainColor": GRID,
            "tickColor": GRID,
            "labelLimit": 220,
            "titleLimit": layout.width,
        },
        "axisY": {"domain": False, "ticks": False, "labelPadding": 6, "grid": False},
        "header": {
            "labelColor": INK,
            "labelFontSize": layout.font + 0.5,
            "labelFontWeight": "bold",
            "labelPadding": 3,
            "labelLimit": layout.width,
            "title": None,
        },
        "legend": label | {"title": None, "orient": "top", "symbolSize": 90, "labelLimit": 200, "columns": 3},
        "text": {"fill": INK, "fontSize": layout.font},
        "facet": {"spacing": 10},
        "concat": {"spacing": 22},
    }
