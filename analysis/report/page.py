"""What all pages share: the templates' environment, the style with its light and dark inks, the answer's table."""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from analysis.charts.drawing.theme import INKS, SHAPES
from analysis.console.sanitizing import strip_controls
from analysis.stats.arms import RunArm
from analysis.stats.run import StoredRun
from analysis.summary.answer import wording
from analysis.summary.run.summary import Summary

HERE: Final = Path(__file__).parent
"""The folder of the templates and of the style."""

_BREAKS: Final = re.compile(r"(?<=\d) (?=%)|(?<=%) (?=\[)|(?<=,) (?=[^ ]{1,8}\])|(?<=→) | (?=→)")
"""The spaces inside figures, which the templates' filter `tight` keeps from breaking a line."""

_DARK: Final = {
    "ink": "#e8eaed",
    "muted": "#a3acb7",
    "grid": "#363c44",
    "better": "#5fcfae",
    "worse": "#f0916f",
    "same": "#9db8dc",
    "ground": "#15181c",
    "level-1": "#4a5563",
    "level-2": "#71808f",
    "level-3": "#9eacbb",
    "level-4": "#ced7e0",
    "level-5": "#e08898",
}
_GLYPHS: Final = dict(zip(SHAPES, "●■▲◆▼✚", strict=True))


def environment(*folders: Path) -> jinja2.Environment:
    """The environment of templates in these folders and in this one; all that they insert is escaped and printable."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, HERE]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
    )
    made.filters["tight"] = partial(_BREAKS.sub, "\u00a0")
    return made


def _printable(value: Any) -> Any:  # noqa: ANN401 - whatever a template has
    """A value without control characters, which an editor or a terminal would show as something else."""
    return value if not isinstance(value, str) or isinstance(value, Markup) else strip_controls(value)


def themes() -> str:
    """The style of all pages, with a rule for each ink that turns the charts' constants into variables."""
    light = "".join(f"--{name}:{colour};" for name, colour in INKS.items())
    dark = "".join(f"--{name}:{colour};" for name, colour in _DARK.items())
    rules = "".join(
        f'svg [fill="{colour}"]{{fill:var(--{name})}}svg [stroke="{colour}"]{{stroke:var(--{name})}}'
        for name, colour in INKS.items()
    )
    own = (HERE / "style.css").read_text(encoding="utf-8")
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{rules}\n{own}"


def side_colours(arms: Iterable[RunArm]) -> str:
    """The style of a run's dataplanes.

    On a dark ground each one's colour is mixed with some white, since the palette was made for a light one.
    """
    lighter = {arm.colour: f"color-mix(in srgb, {arm.colour} 76%, white)" for arm in arms}
    sides = "".join(
        f'svg [fill="{colour}"]{{fill:{mixed}}}svg [stroke="{colour}"]{{stroke:{mixed}}}'
        f'[data-colour="{colour}"]{{color:{mixed}}}'
        for colour, mixed in lighter.items()
    )
    keys = "".join(f'[data-colour="{colour}"]{{color:{colour}}}' for colour in lighter)
    return f"{keys}@media screen and (prefers-color-scheme:dark){{{sides}}}"


def key(about: StoredRun, summary: Summary | None) -> list[dict[str, Any]]:
    """The key to colours and shapes, the baseline first; titles are those of the answer."""
    rows = []
    for arm in about.arms:
        title = summary.answer.title(arm.name) if summary and summary.answer else arm.title
        glyph = _GLYPHS[SHAPES[about.shape(arm) % len(SHAPES)]]
        rows.append({"dataplane": arm.title, "title": title, "colour": arm.colour, "twin": arm.twin, "glyph": glyph})
    return rows


def answer_table(summary: Summary | None) -> dict[str, Any]:
    """The table of the answer: its kinds of traffic with their cells, what moves cost, and how to read it."""
    answer = summary.answer if summary else None
    if answer is None or not answer.kinds:
        return {"kinds": []}
    return {
        "certainty": answer.certainty,
        "notes": answer.notes,
        "legend": wording.legend(answer),
        "costs": wording.cost_rows(answer),
        "kinds": [
            {
                "title": f"{kind.title[:1].upper()}{kind.title[1:]}",
                "path": kind.path,
                "cells": [
                    {
                        "title": answer.title(cell.dataplane),
                        "standing": cell.standing,
                        "lines": wording.cell_lines(answer, cell),
                    }
                    for cell in kind.cells
                ],
            }
            for kind in answer.kinds
        ],
    }
