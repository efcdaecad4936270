"""How every chart looks. Inks are placeholders by value: the page's style maps each to its light or dark variable."""

from dataclasses import dataclass
from typing import Any, Final

INK: Final = "#1b1f24"
MUTED: Final = "#59636e"
GRID: Final = "#dde1e6"
BAND: Final = "#e4e7eb"
GROUND: Final = "#fefefe"
LEVELS: Final = ("#c9d1da", "#9aa6b4", "#66758a", "#3e4d63", "#a8485c")
"""For parts of a whole that are not dataplanes: a ramp that no dataplane's colour is near."""

INKS: Final = {"ink": INK, "muted": MUTED, "grid": GRID, "band": BAND, "ground": GROUND} | {
    f"level-{number}": colour for number, colour in enumerate(LEVELS, 1)
}
"""CSS variable -> the colour that stands for it in a chart."""

SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")


@dataclass(frozen=True, slots=True)
class Look:
    """The room a chart has. `width` of the whole in pixels; `font` size of its labels."""

    name: str
    width: int
    font: int
    lane: int

    @property
    def narrow(self) -> bool:
        """Whether this is the variant for a phone or the frame of a workflow's artifact."""
        return self.name == "narrow"


WIDE: Final = Look("wide", 820, 12, 20)
NARROW: Final = Look("narrow", 358, 11, 19)
LOOKS: Final = (WIDE, NARROW)


def config(look: Look) -> dict[str, Any]:
    """Vega-Lite's configuration for a look."""
    label = {"labelColor": MUTED, "labelFontSize": look.font, "titleColor": MUTED, "titleFontSize": look.font}
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
            "titleLimit": look.width,
        },
        "axisY": {"domain": False, "ticks": False, "labelPadding": 6, "grid": False},
        "header": {
            "labelColor": INK,
            "labelFontSize": look.font + 0.5,
            "labelFontWeight": "bold",
            "labelPadding": 3,
            "labelLimit": look.width,
            "title": None,
        },
        "legend": label | {"title": None, "orient": "top", "symbolSize": 90, "labelLimit": 200, "columns": 3},
        "text": {"fill": INK, "fontSize": look.font},
        "facet": {"spacing": 10},
        "concat": {"spacing": 22},
    }
