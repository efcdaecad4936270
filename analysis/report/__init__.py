"""The report: one HTML file without scripts or external references, the headline first."""

from collections.abc import Iterable
from typing import Any, Final

import duckdb
from markupsafe import Markup

from analysis import charts, flags, formatting
from analysis.charts import Data
from analysis.report import limits, page, tables
from analysis.stats import metrics, run
from analysis.stats.comparison import Comparison
from analysis.stats.run import StoredRun
from analysis.store.left_out import LeftOut, sentences
from analysis.summary import change_groups
from analysis.summary.summary import Summary

_PAGE: Final = page.environment()


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
        style=Markup(page.themes() + page.side_colours(about.arms)),  # noqa: S704 - own file and checked colours
        first=drawings[0],
        drawings=drawings[1:],
        key=page.key(about, summary),
        table=page.answer_table(summary),
        groups=_groups(summary),
        changes=changes_by_kind(summary),
        limit=formatting.percent(summary.history.limit, sign=False) if summary.history else "",
        trials=tables.trials(data),
        visits=tables.visits(data),
        provenance=tables.flat(about.provenance),
        parameters=tables.flat(
            {k: v for k, v in about.parameters.items() if k not in {"dataplanes", "cells", "tools"}}
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
