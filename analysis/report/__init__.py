"""The report: one HTML file without scripts or external references, the headline first; and an interactive one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import duckdb
from markupsafe import Markup

from analysis import charts, flags, formatting, metrics
from analysis.charts import ChartData, Drawing
from analysis.domain import IMPORTED
from analysis.report import evidence, interactive, limits, page, tables
from analysis.sql import database
from analysis.stats import run
from analysis.stats.run import StoredRun
from analysis.stats.verdicts.comparison import Comparison
from analysis.store.index.left_out import sentences
from analysis.summary.figures import change_groups, pooled_times
from analysis.summary.run import at_scale
from analysis.summary.run.summary import Summary

_PAGE: Final = page.environment()

REPORT: Final = "report.html"
INTERACTIVE: Final = "report-interactive.html"

_SHOWN: Final = frozenset({"dataplanes", "cells", "tools", "factors", IMPORTED})
"""Parameters that stand elsewhere on the page."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The report of a run, and the interactive one beside it: an HTML document each."""

    report: str
    interactive: str

    @property
    def files(self) -> dict[str, str]:
        """The pages by the names of their files, the report first."""
        return {REPORT: self.report, INTERACTIVE: self.interactive}


def render_pages(con: duckdb.DuckDBPyConnection, run_id: str, summary: Summary) -> Pages:
    """The pages of a run; `con`: a connection with the views of `analysis.sql.database`.

    Raises:
        BadInput: there is no such run.
    """
    data = ChartData(con, run.load_run(con, run_id), summary.comparisons, summary.changes, summary.curves)
    with charts.narrowed(con, run_id):
        report, drawings = _report(data, summary)
        context = _shared(data, summary) | interactive.context(data, drawings, summary)
    return Pages(report, _PAGE.get_template("interactive.html.j2").render(context))


def _shared(data: ChartData, summary: Summary) -> dict[str, Any]:
    """What both pages have."""
    return {
        "run": data.run,
        "summary": summary,
        "style": Markup(page.themes() + page.side_colours(data.run.arms)),  # noqa: S704 - own file and checked colours
        "key": page.key(data.run, summary),
        "title": _title(data.run),
    }


def _report(data: ChartData, summary: Summary) -> tuple[str, list[Drawing]]:
    """The report, and its charts."""
    about, missing = data.run, sentences(database.left_out(data.con))
    drawn = charts.draw_all([c for c in charts.catalogue() if not c.section or summary.curves], data)
    drawings = [drawing for drawing in drawn if not drawing.chart.section]
    html = _PAGE.get_template("page.html.j2").render(
        _shared(data, summary),
        first=drawings[0],
        drawings=drawings[1:],
        table=page.answer_table(summary),
        scale=_scale(summary, [drawing for drawing in drawn if drawing.chart.section]),
        groups=_groups(summary),
        changes=changes_by_kind(summary),
        limit=formatting.percent(summary.history.limit, sign=False) if summary.history else "",
        trials=tables.trials(data),
        visits=tables.visits(data),
        evidence=evidence.evidence(data),
        provenance=tables.flat(about.provenance),
        parameters=tables.flat({name: value for name, value in about.parameters.items() if name not in _SHOWN}),
        limits=limits.limitations(about) | ({"Left out of the store": missing} if missing else {}),
        marks={"marked": flags.MARKED, "void": flags.VOID},
    )
    return html, drawn


def _title(about: StoredRun) -> str:
    at = f"{about.started_at:%-d %B %Y, %H:%M} UTC" if about.started_at else "time unknown"
    return f"{about.environment}, {at}"


def _scale(summary: Summary, drawings: list[Drawing]) -> dict[str, Any]:
    """The section on the scale: its sentence, its pictures, and each curve in figures."""
    groups = at_scale.groups_of(summary)
    return {
        "sentence": at_scale.first_sentence(groups),
        "confidence": at_scale.confidence(groups),
        "drawings": drawings,
        "groups": groups,
        "times": {
            "title": pooled_times.TITLE,
            "columns": pooled_times.COLUMNS,
            "meaning": pooled_times.meaning(summary.programming),
        },
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


def changes_by_kind(summary: Summary) -> list[dict[str, Any]]:
    """The changes from night to night by kind; `loud` kinds are shown unfolded."""
    compared = change_groups.group_changes(summary.changes)
    return [
        {"kind": kind, "title": title, "groups": groups, "loud": kind in change_groups.LOUD}
        for kind, title in change_groups.KINDS.items()
        if (groups := [group for group in compared if group.kind == kind])
    ]
