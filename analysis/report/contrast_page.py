"""The page of a comparison of runs: one HTML file like the report, what else differed first."""

from itertools import groupby
from typing import Any, Final

from markupsafe import Markup

from analysis.charts.drawing import run_contrasts
from analysis.report import limits, page
from analysis.summary.contrast import wording
from analysis.summary.contrast.run_contrast import RunContrast

_PAGE: Final = page.environment()

KINDS: Final = {"method": "Method", "provenance": "Machine and versions", "load": "Load", "time": "Time"}
"""The headings of what differed."""


def render(found: RunContrast) -> str:
    """The page of a comparison, one HTML document."""
    names = wording.titles(found.arms)
    sides = wording.columns(found.contrasts, found.arms)
    families = {title: family.sentence for family in found.families for title in family.metrics}
    return _PAGE.get_template("contrast.html.j2").render(
        found=found,
        style=Markup(page.themes() + page.side_colours(found.arms)),  # noqa: S704 - own file and checked colours
        titles=names,
        sides=sides,
        rows=wording.table(found.contrasts, found.arms),
        caption=wording.caption(found.contrasts, found.arms),
        legend=wording.legend(found.contrasts, found.margin_ratio),
        beside=[(KINDS[kind], list(facts)) for kind, facts in groupby(found.beside, key=lambda fact: fact.kind)],
        drawings=run_contrasts.draw(found.contrasts, names),
        chart=run_contrasts,
        metrics=_by_metric(found),
        families=families,
        method=limits.CONTRAST_METHOD,
    )


def _by_metric(found: RunContrast) -> dict[str, dict[str, list[Any]]]:
    """The contrasts by the title of their metric and by path."""
    grouped: dict[str, dict[str, list[Any]]] = {}
    for one in found.contrasts:
        grouped.setdefault(one.metric_title, {}).setdefault(one.path, []).append(one)
    return grouped
