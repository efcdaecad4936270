"""The pages of a site, each with its fingerprint and how to make it. A run that can't be shown costs its own page."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

import duckdb

from analysis.errors import BadInput, Problem
from analysis.report import contrast_page
from analysis.site import names, pages, search
from analysis.site.contents import environments
from analysis.site.contents.change_log import find_changes
from analysis.site.contents.environments import ComparableNights, EnvironmentRuns
from analysis.site.contents.runs import RunLine, read_lines
from analysis.site.contents.stored_runs import StoredRuns
from analysis.site.contents.trends import draw_trends
from analysis.site.contents.verdicts import Verdicts
from analysis.site.files.reports import Reports
from analysis.site.files.writer import Made, Page
from analysis.site.pages import Link, Neighbour
from analysis.sql import database
from analysis.stats.contrasts import run_groups
from analysis.stats.contrasts.figures import Compared
from analysis.store.index.left_out import LeftOut
from analysis.store.index.names import is_run_id
from analysis.summary.contrast.run_contrast import contrast_groups

_MOST_COMPARISONS: Final = 6
"""Of an environment: the latest labels, each against the one before it."""

_MADE_OF: Final = frozenset({".py", ".j2", ".css", ".js", ".sql"})


def plan_pages(
    con: duckdb.DuckDBPyConnection, verdicts: Verdicts, reports: Reports, compared: Compared, *, lenient: bool
) -> list[Page]:
    """Every page of the site of a store; none for a store without any run.

    Args:
        con: a connection with the views of `analysis.sql.database`, open until the pages are made.
        verdicts: of the runs.
        reports: of the store.
        compared: what the options of a run mean for comparing it.
        lenient: whether an error of a query costs a page; else it is raised.
    """
    lines = read_lines(con, verdicts, compared.method)
    left_out = database.left_out(con)
    site = _Site(con, reports, StoredRuns(con, verdicts, [line.run_id for line in lines]), compared, lenient)
    return list(site.pages(environments.group(lines), left_out)) if lines or left_out else []


@dataclass(frozen=True, slots=True)
class _Site:
    con: duckdb.DuckDBPyConnection
    reports: Reports
    stored: StoredRuns
    compared: Compared
    lenient: bool

    def pages(self, found: Sequence[EnvironmentRuns], left_out: Sequence[LeftOut]) -> Iterator[Page]:
        """Every page. Those of the runs come first, as they are read."""
        for one in found:
            yield from self._runs(one)
            yield from self._trends(one)
            yield from self._labels(one)
            yield self._page(names.environment(one.name), _digests(one.lines), partial(_environment, one), one.title)
        yield from self._left_out(left_out)
        named = [(each.sentence, _page_of(each)) for each in left_out]
        digests = [digest for one in found for digest in _digests(one.lines)]
        index = partial(pages.index, found, named)
        yield self._page(names.INDEX, [*digests, *map(str, named)], index, "Dataplane benchmark")
        script = partial(search.index_script, found)
        yield self._page(names.SEARCH_INDEX, digests, script, "Search")
        yield self._page(names.SEARCH, [], (names.TEMPLATES / names.SEARCH).read_text, "Search")
        yield self._page(names.STYLE, [], pages.style, "Style")

    def _runs(self, one: EnvironmentRuns) -> Iterator[Page]:
        lines = one.lines
        for place, line in enumerate(lines):
            name = names.run(line.run_id)
            beside = [Neighbour("Before", "prev", before) for before in lines[:place][-1:]]
            beside += [Neighbour("After", "next", after) for after in lines[place + 1 : place + 2]]
            links = self.reports.links(line.run_id, name)
            parts = [line.digest, str(links), *(f"{each.line.run_id} {each.line.when}" for each in beside)]
            yield self._page(name, parts, partial(self._run, line, links, beside), f"Run {line.run_id}")
        for copy, written in self.reports.copies(line.run_id for line in lines):
            yield self._page(copy, [written], partial(self.reports.read, copy), copy)

    def _run(self, line: RunLine, links: list[Link], beside: list[Neighbour]) -> str:
        about, summary = self.stored.get(line.run_id)
        return pages.run(line, about, summary, links, beside)

    def _trends(self, one: EnvironmentRuns) -> Iterator[Page]:
        for series in one.trends:
            make = partial(self._trend, one, series)
            yield self._page(series.page, _digests(series.lines), make, f"Trends of {one.title}")

    def _trend(self, one: EnvironmentRuns, series: ComparableNights) -> str:
        about, summary = self.stored.get(series.lines[-1].run_id)
        found = draw_trends(self.con, about, [line.run_id for line in series.lines], summary)
        return pages.trends(one, series, about, found, summary)

    def _labels(self, one: EnvironmentRuns) -> Iterator[Page]:
        if not one.labels:
            return
        compared = []
        for (after, new), (before, old) in islice(pairwise(one.labels.items()), _MOST_COMPARISONS):
            name, title = names.comparison(one.name, before, after), f"{after} against {before}"
            compared.append((title, name))
            make = partial(self._comparison, name, title, old, new)
            yield self._page(name, [*_digests(old), "against", *_digests(new)], make, title)
        parts = [*(digest for lines in one.labels.values() for digest in _digests(lines)), str(compared)]
        yield self._page(names.labels(one.name), parts, partial(pages.labels, one, compared), one.title)

    def _comparison(self, name: str, title: str, *labelled: Sequence[RunLine]) -> str:
        """The runs of a label against those of an earlier one, as the verb compare has them, or why they can't be."""
        sides = ((f"label={lines[0].label}", [line.run_id for line in lines]) for lines in labelled)
        try:
            old, new = (run_groups.load_group(self.con, asked, run_ids) for asked, run_ids in sides)
            return contrast_page.render(contrast_groups(self.con, old, new, self.compared))
        except BadInput as refused:
            return pages.broken(name, "Not compared", title, f"{str(refused)[:1].upper()}{str(refused)[1:]}.")

    def _left_out(self, left_out: Sequence[LeftOut]) -> Iterator[Page]:
        by_page = {name: one for one in left_out if (name := _page_of(one))}
        for name, one in by_page.items():
            title = f"Run {one.run_id}"
            make = partial(pages.broken, name, "Left out of the store", title, one.sentence)
            yield self._page(name, [one.sentence], make, title)

    def _page(self, name: str, parts: Sequence[str], make: Callable[[], str | bytes], title: str) -> Page:
        """A page that says what went wrong where it can't be made, and is made again by the next build."""

        def made() -> Made:
            try:
                content = make()
            except (MemoryError, RecursionError):
                raise
            except Exception as error:
                if isinstance(error, duckdb.Error) and not self.lenient:
                    raise
                why = str(error) if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
                content = pages.broken(name, "This page can't be made", title, why)
                return Made(content.encode(), whole=False)
            return Made(content if isinstance(content, bytes) else content.encode())

        return Page(name, fingerprint(name, *parts), made)


def _environment(one: EnvironmentRuns) -> str:
    return pages.environment(one, find_changes(one.lines))


def _digests(lines: Sequence[RunLine]) -> list[str]:
    return [line.digest for line in lines]


def _page_of(one: LeftOut) -> str:
    """The page of a run that is left out; empty where the damage hides its name."""
    return names.run(one.run_id) if one.run_id and is_run_id(one.run_id) else ""


def fingerprint(*parts: str) -> str:
    """A digest of what a page is made of, and of this program."""
    return names.digest(_program(), *parts)[:32]


@cache
def _program() -> str:
    """A digest of all code and templates of the analysis: another version makes every page again."""
    root = Path(__file__).parents[1]
    files = sorted(path for path in root.rglob("*") if path.suffix in _MADE_OF and path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
