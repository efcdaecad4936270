"""A chart as SVG inside a page: text stays text; no script, no reference to anything outside."""

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any, Final

import altair as alt
import pyarrow as pa
import vl_convert

from analysis.charts.drawing.theme import LAYOUTS, ChartLayout, config

Specs = dict[str, dict[str, Any]]
"""A chart in Vega-Lite, with its data, by the name of the layout."""

_EMPTY_PATH: Final = re.compile(r'<path (?:class|aria-hidden)="[^"]*"[^>]*\bd=""[^>]*/>')
_BACKGROUND: Final = re.compile(r'<path class="background"[^>]*/>')
_NOISE: Final = re.compile(
    r' (?:class|font-family|role|aria-[a-z]+|pointer-events|stroke-miterlimit)="[^"]*"| opacity="1"'
)
_TAG: Final = re.compile(r"<[^>]+>")
_NUMBER: Final = re.compile(r"\d+\.\d{2,}")
_NAMESPACE: Final = "http://www.w3.org/2000/svg"
_GROUP: Final = f"{{{_NAMESPACE}}}g"
_INHERITED: Final = (
    *("fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width"),
    *("font-size", "font-style", "font-weight", "text-anchor"),
)
"""Attributes that a group hands down to all in it that has not its own."""

ET.register_namespace("", _NAMESPACE)

_HEAD: Final = re.compile(r"<svg [^>]*?viewBox=\"0 0 ([\d.]+) ([\d.]+)\"[^>]*>")


def to_specs(frame: pa.Table, drawing: Callable[..., alt.TopLevelMixin]) -> Specs:
    """A chart in every layout; empty where the frame has no rows."""
    if not frame.num_rows:
        return {}
    return {
        layout.name: drawing(frame, layout=layout).to_dict(format="vega-lite", validate=False) for layout in LAYOUTS
    }


def to_svg(spec: dict[str, Any], layout: ChartLayout, name: str, description: str) -> str:
    """Draw a chart in Vega-Lite. `name`: unique in the page, for ids; `description`: the text for screen readers."""
    drawn: str = vl_convert.vegalite_to_svg(spec, config=config(layout))
    body = _BACKGROUND.sub("", _EMPTY_PATH.sub("", drawn))
    body = _grouped(_TAG.sub(lambda tag: _lean(tag[0]), body))
    prefix = f"{name}-{layout.name}-"
    body = body.replace('id="', f'id="{prefix}').replace("url(#", f"url(#{prefix}")
    text = html.escape(description)
    return _HEAD.sub(
        lambda m: (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{layout.name}" role="img" aria-label="{text}" '
            f'viewBox="0 0 {m[1]} {m[2]}"><title>{text}</title>'
        ),
        body,
        count=1,
    )


def _lean(tag: str) -> str:
    """The tag without the attributes that only Vega's tools read, and with coordinates to a tenth of a pixel."""
    return _NUMBER.sub(lambda number: f"{float(number[0]):.1f}", _NOISE.sub("", tag))


def _grouped(svg: str) -> str:
    """The drawing with what all parts of a group have alike said once, and without groups that say nothing."""
    root = ET.fromstring(svg)  # noqa: S314 - Vega's own drawing
    _hand_up(root)
    return ET.tostring(root, encoding="unicode").replace('" />', '"/>')


def _hand_up(element: ET.Element) -> None:
    kept: list[ET.Element] = []
    for child in element:
        _hand_up(child)
        if child.tag != _GROUP or child.attrib:
            kept.append(child)
        else:
            kept += child
    element[:] = [child for child in kept if child.tag != _GROUP or len(child)]
    if element.tag != _GROUP or not len(element):
        return
    for name, value in list(element[0].items()):
        if name in _INHERITED and name not in element.attrib and all(one.get(name) == value for one in element):
            element.set(name, value)
            for one in element:
                del one.attrib[name]
