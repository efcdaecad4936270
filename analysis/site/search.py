"""The index of the search: a script, since a page that is opened by file:// may read no other file."""

import json
from collections.abc import Iterable, Iterator, Sequence

from analysis import formatting
from analysis.console.sanitizing import strip_controls
from analysis.site import names
from analysis.site.contents.environments import EnvironmentRuns
from analysis.site.contents.runs import RunLine


def index_script(environments: Sequence[EnvironmentRuns]) -> str:
    """A script that assigns the pages, each as its address in the site, its title and what else is said of it."""
    entries = [[strip_controls(text) for text in entry] for entry in _entries(environments)]
    text = json.dumps(entries, separators=(",", ":")).replace("<", "\\u003c")  # so that no text ends the script
    return f"globalThis.sitePages = {text};\n"


def _entries(environments: Iterable[EnvironmentRuns]) -> Iterator[tuple[str, str, str]]:
    for one in environments:
        yield names.environment(one.name), one.title, f"environment, {formatting.count(len(one.lines), 'run')}"
        for series in one.trends:
            yield series.page, f"Trends of {one.title}", series.title
        for label, lines in one.labels.items():
            yield names.labels(one.name), label, f"label in {one.title}, {formatting.count(len(lines), 'run')}"
    for one in environments:
        for line in reversed(one.lines):
            yield names.run(line.run_id), f"{line.when}, {one.title}", _detail(line)


def _detail(line: RunLine) -> str:
    date = f"{line.started_at:%Y-%m-%d}" if line.started_at else ""
    about = (line.word, line.label, line.profile, line.trigger, ", ".join(line.dataplanes), date, line.headline)
    return "; ".join(filter(None, about))
