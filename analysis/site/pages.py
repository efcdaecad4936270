"""What each kind of page shows, as the context of its template. No page knows how another one is made."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from analysis import formatting
from analysis.report import changes_by_kind, page, tables
from analysis.site import calendar, names
from analysis.site.contents.change_log import LoggedChanges
from analysis.site.contents.environments import ComparableNights, EnvironmentRuns
from analysis.site.contents.runs import STATUSES, RunLine
from analysis.site.contents.trends import Trend
from analysis.stats.run import StoredRun
from analysis.summary.figures.change_groups import regression_alarm
from analysis.summary.run.summary import Summary

_TEMPLATES: Final = page.environment(names.TEMPLATES)
_TEMPLATES.globals["statuses"] = STATUSES

_STRIP: Final = 30
"""Runs of an environment that the first page shows, one sign each."""

Link = tuple[str, str]
"""A text, and where it leads."""


class Neighbour(NamedTuple):
    """A run beside another one: what it is to it, and the value of `rel`."""

    text: str
    rel: str
    line: RunLine


def style() -> str:
    """The style sheet of all pages."""
    return f"{page.themes()}\n{(names.TEMPLATES / 'site.css').read_text(encoding='utf-8')}"


def index(environments: Sequence[EnvironmentRuns], left_out: Sequence[tuple[str, str]]) -> str:
    """The first page: every environment with its last runs; and the runs that the store leaves out."""
    runs = sum(len(one.lines) for one in environments)
    return _render(
        "index",
        names.INDEX,
        "Dataplane benchmark: all results",
        extent=f"{formatting.count(runs, 'run')} of {formatting.count(len(environments), 'environment')}",
        environments=[
            {
                "title": one.title,
                "href": names.environment(one.name),
                "last": one.last,
                "alarm": regression_alarm(one.last.changes),
                "disclaimer": one.disclaimer,
                "recent": one.lines[-_STRIP:],
                "count": formatting.count(len(one.lines), "run"),
                "links": _links(one),
            }
            for one in environments
        ],
        left_out=left_out,
    )


def _links(one: EnvironmentRuns) -> list[Link]:
    found = [(f"Trends: {series.title}", series.page) for series in one.trends[:1]]
    if one.labels:
        found.append((formatting.count(len(one.labels), "label"), names.labels(one.name)))
    return found


def environment(one: EnvironmentRuns, changes: Sequence[LoggedChanges]) -> str:
    """An environment: its calendar, its trends, what changed, its labels and all of its runs."""
    return _render(
        "environment",
        names.environment(one.name),
        f"{one.title}: dataplane benchmark",
        name=one.title,
        extent=_extent(one.lines),
        last=one.last,
        alarm=regression_alarm(one.last.changes),
        disclaimer=one.disclaimer,
        years=calendar.by_year(calendar.months(one.lines)),
        weekdays=calendar.WEEKDAYS,
        trends=[{"href": series.page, "title": series.title, "extent": _extent(series.lines)} for series in one.trends],
        trends_left_out=one.trends_left_out,
        changes=changes,
        labels=one.labels,
        labels_href=names.labels(one.name),
        runs=_by_year(one.lines),
    )


def _by_year(lines: Sequence[RunLine]) -> list[tuple[str, list[RunLine]]]:
    """The last runs, then the others by year, the latest first."""
    latest = list(reversed(lines))
    found: dict[str, list[RunLine]] = {"": latest[:_STRIP]}
    for line in latest[_STRIP:]:
        found.setdefault(str(line.started_at.year) if line.started_at else "Time unknown", []).append(line)
    return [(f"{year}: {formatting.count(len(each), 'more run')}", each) for year, each in found.items()]


def labels(one: EnvironmentRuns, compared: Sequence[Link]) -> str:
    """The labels of an environment with their runs; `compared`: two labels each, and the page that compares them."""
    return _render(
        "labels",
        names.labels(one.name),
        f"Labels of {one.title}: dataplane benchmark",
        crumbs=[(one.title, names.environment(one.name))],
        environment=one.title,
        labels=[(label, list(reversed(lines))) for label, lines in one.labels.items()],
        comparisons=compared,
    )


def trends(
    one: EnvironmentRuns, series: ComparableNights, about: StoredRun, found: Sequence[Trend], summary: Summary | None
) -> str:
    """The nights of one method: a chart of each figure."""
    return _render(
        "trends",
        series.page,
        f"Trends of {one.title}, {series.title}: dataplane benchmark",
        crumbs=[(one.title, names.environment(one.name))],
        colours=_colours(about),
        extent=_extent(series.lines),
        heading=f"{one.title}: {series.title}",
        summary=summary,
        key=page.key(about, summary),
        trends=found,
        changes=changes_by_kind(summary) if summary else [],
    )


def run(
    line: RunLine, about: StoredRun, summary: Summary | None, reports: Sequence[Link], beside: Sequence[Neighbour]
) -> str:
    """A run: its answer, what changed, and where its report is."""
    return _render(
        "run",
        names.run(line.run_id),
        f"{line.when}, {line.environment}: {summary.headline if summary else line.headline}",
        crumbs=[(line.environment or "environment unknown", names.environment(line.environment))],
        colours=_colours(about),
        line=line,
        summary=summary,
        key=page.key(about, summary) if summary else [],
        table=page.answer_table(summary),
        changes=changes_by_kind(summary) if summary and summary.history else [],
        reports=reports,
        facts=_facts(line, about),
        provenance=tables.flat(about.provenance),
        neighbours=beside,
    )


def _facts(line: RunLine, about: StoredRun) -> list[tuple[str, str]]:
    found = {
        "run": line.run_id,
        "began": f"{line.when} UTC" if line.started_at else "unknown",
        "label": line.label,
        "profile": line.profile,
        "started by": line.trigger,
        "dataplanes": ", ".join(line.dataplanes),
        "seed": "" if about.seed is None else str(about.seed),
    }
    return [(name, value) for name, value in found.items() if value]


def broken(name: str, kicker: str, heading: str, sentence: str) -> str:
    """A page that says why there is nothing to show."""
    return _render("broken", name, heading, kicker=kicker, heading=heading, sentence=sentence)


def _render(template: str, place: str, title: str, /, **context: Any) -> str:  # noqa: ANN401 - a template's own
    """A page at this place, with the way from it to the site's root."""
    given = {"crumbs": [], "root": names.to_root(place), "title": title} | context
    return _TEMPLATES.get_template(f"{template}.html.j2").render(given)


def _colours(about: StoredRun) -> Markup:
    return Markup(page.side_colours(about.arms))  # noqa: S704 - checked colours


def _extent(lines: Sequence[RunLine]) -> str:
    """`90 runs from 1 March 2026 to 29 May 2026`."""
    times = [line.started_at for line in lines if line.started_at]
    span = f" from {min(times):%-d %B %Y} to {max(times):%-d %B %Y}" if times else ""
    return f"{formatting.count(len(lines), 'run')}{span}"
