"""The report: one HTML file without scripts or external references, the headline first."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import duckdb
import jinja2
from markupsafe import Markup

from analysis import charts, flags, formatting
from analysis.charts import Data
from analysis.charts._theme import INKS, SHAPES
from analysis.console.sanitizing import strip_controls
from analysis.domain import IMPORTED
from analysis.report import limits, tables
from analysis.stats import metrics, run
from analysis.stats.comparison import Comparison
from analysis.stats.run import StoredRun
from analysis.store.left_out import LeftOut, sentences
from analysis.summary import change_groups, wording
from analysis.summary.summary import Summary


def _printable(value: Any) -> Any:  # noqa: ANN401 - whatever a template has
    """A value without control characters, which an editor or a terminal would show as something else."""
    return value if not isinstance(value, str) or isinstance(value, Markup) else strip_controls(value)


_HERE: Final = Path(__file__).parent
_PAGE: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    finalize=_printable,
)

_BREAKS: Final = re.compile(r"(?<=\d) (?=%)|(?<=%) (?=\[)|(?<=,) (?=[^ ]{1,8}\])|(?<=→) | (?=→)")

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


def render(con: duckdb.DuckDBPyConnection, run_id: str, summary: Summary) -> str:
    """The report of a run.

    Args:
        con: a connection with the views of `analysis.sql.database`.
        run_id: the run.
        summary: its summary.

    Returns:
        One HTML document.

    Raises:
        BadInput: there is no such run.
    """
    about = run.load_run(con, run_id)
    data = Data(con, about, summary.comparisons, summary.changes)
    drawings = charts.draw_all(charts.catalogue(), data)
    return _PAGE.get_template(
        "page.html.j2"
    ).render(
        run=about,
        summary=summary,
        style=Markup(_style(about)),  # noqa: S704 - this project's own file and checked colours
        first=drawings[0],
        drawings=drawings[1:],
        key=_key(data, summary),
        table=_table(summary),
        groups=_groups(summary),
        changes=_changes(summary),
        limit=formatting.percent(summary.history.limit, sign=False) if summary.history else "",
        trials=tables.trials(data),
        visits=tables.visits(data),
        provenance=tables.flat(about.provenance),
        parameters=tables.flat(
            {k: v for k, v in about.parameters.items() if k not in {"dataplanes", "cells", "tools", IMPORTED}}
        ),
        limits={**limits.limitations(about), **_left_out(con)},
        marks={"marked": flags.MARKED, "void": flags.VOID},
        title=_title(about),
    )


def _left_out(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The limitation by runs that the store leaves out."""
    found = [LeftOut(**row) for row in run.query_rows(con, "select * from left_out")]
    return {"Left out of the store": sentences(found)} if found else {}


def _title(about: StoredRun) -> str:
    at = f"{about.started_at:%-d %B %Y, %H:%M} UTC" if about.started_at else "time unknown"
    return f"{about.environment}, {at}"


def _key(data: Data, summary: Summary) -> list[dict[str, Any]]:
    """The key to colours and shapes, the baseline first; titles are those of the answer."""
    rows = []
    for arm in data.run.arms:
        side = data.side(arm)
        title = summary.answer.title(arm.name) if summary.answer else arm.title
        glyph = _GLYPHS[SHAPES[side["shape"] % len(SHAPES)]]
        rows.append({"title": title, "colour": arm.colour, "twin": arm.twin, "glyph": glyph})
    return rows


def _table(summary: Summary) -> dict[str, Any]:
    """The table of the answer: its kinds of traffic with their cells, what moves cost, and how to read it."""
    answer = summary.answer
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


def _groups(summary: Summary) -> list[dict[str, Any]]:
    """The comparisons by metric and path."""
    groups = []
    for metric in metrics.COMPARED:
        if compared := summary.of(metric.name):
            others = [c for c in summary.comparisons if c.metric == metric.name and not c.against_baseline]
            family = next((f.sentence for f in summary.families if metric.title in f.metrics), "")
            groups.append({"metric": metric, "family": family, "paths": _by_path(compared), "others": _by_path(others)})
    return groups


def _by_path(compared: Iterable[Comparison]) -> dict[str, list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for c in compared:
        found.setdefault(c.path, []).append(c)
    return found


def _changes(summary: Summary) -> list[dict[str, Any]]:
    """The changes from night to night by kind; `loud` kinds are shown unfolded."""
    compared = change_groups.group_changes(summary.changes)
    return [
        {"kind": kind, "title": title, "groups": groups, "loud": kind in change_groups.LOUD}
        for kind, title in change_groups.KINDS.items()
        if (groups := [group for group in compared if group.kind == kind])
    ]


def _tight(text: str) -> str:
    """The text with no-break spaces inside its figures."""
    return _BREAKS.sub("\u00a0", text)


_PAGE.filters["tight"] = _tight


def _style(about: StoredRun) -> str:
    """The page's style, with a rule for each ink that turns the charts' constants into variables.

    On a dark ground each dataplane's colour is mixed with some white, since the palette was made for a light one.
    """
    lighter = {arm.colour: f"color-mix(in srgb, {arm.colour} 76%, white)" for arm in about.arms}
    sides = "".join(
        f'svg [fill="{colour}"]{{fill:{mixed}}}svg [stroke="{colour}"]{{stroke:{mixed}}}'
        f'[data-colour="{colour}"]{{color:{mixed}}}'
        for colour, mixed in lighter.items()
    )
    keys = "".join(f'[data-colour="{colour}"]{{color:{colour}}}' for colour in lighter)
    light = "".join(f"--{name}:{colour};" for name, colour in INKS.items())
    dark = "".join(f"--{name}:{colour};" for name, colour in _DARK.items())
    rules = "".join(
        f'svg [fill="{colour}"]{{fill:var(--{name})}}svg [stroke="{colour}"]{{stroke:var(--{name})}}'
        for name, colour in INKS.items()
    )
    own = (_HERE / "style.css").read_text(encoding="utf-8")
    themes = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return f"{themes}{rules}{keys}@media screen and (prefers-color-scheme:dark){{{sides}}}\n{own}"
