"""The runs of a store by environment, by method and by label. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analysis import formatting
from analysis.site import names
from analysis.site.contents.runs import RunLine
from analysis.site.contents.trends import FEWEST_NIGHTS
from analysis.summary.figures.disclaimers import disclaimer

_MOST_TRENDS: Final = 8
"""Methods of an environment that have a page of trends: runs by hand may have a method each."""


@dataclass(frozen=True, slots=True)
class ComparableNights:
    """The runs of one environment, trigger and method, the earliest first."""

    page: str
    lines: tuple[RunLine, ...]

    @property
    def title(self) -> str:
        """What was measured, and what started it: `standard, nightly`."""
        last = self.lines[-1]
        return ", ".join(filter(None, [last.profile or "profile unknown", last.trigger]))


@dataclass(frozen=True, slots=True)
class EnvironmentRuns:
    """The runs of an environment.

    Attributes:
        name: as stored.
        lines: its runs, the earliest first.
        trends: the series of at least two nights, that with the latest night first.
        trends_left_out: a sentence, if there are more of them.
        labels: the runs of each label, that of the latest run first.
    """

    name: str
    lines: tuple[RunLine, ...]
    trends: tuple[ComparableNights, ...]
    trends_left_out: str
    labels: Mapping[str, tuple[RunLine, ...]]

    @property
    def title(self) -> str:
        """Its name for readers."""
        return self.name or "environment unknown"

    @property
    def disclaimer(self) -> str | None:
        """What its figures are not; None for a cluster's."""
        return disclaimer(self.name)

    @property
    def last(self) -> RunLine:
        """Its latest run."""
        return self.lines[-1]


def group(lines: Iterable[RunLine]) -> list[EnvironmentRuns]:
    """The environments, that of the latest run first; `lines`: every run, the earliest first."""
    found = _grouped((line.environment, line) for line in lines)
    return [_environment(name, each) for name, each in found.items()]


def _environment(name: str, lines: Sequence[RunLine]) -> EnvironmentRuns:
    by_method = _grouped((line.series, line) for line in lines)
    long = [
        ComparableNights(names.trends(name, method), each)
        for method, each in by_method.items()
        if len(each) >= FEWEST_NIGHTS
    ]
    more = len(long) - _MOST_TRENDS
    left_out = f"{formatting.count(more, 'earlier method')} with two runs or more: a run's own page tells of each."
    labels = _grouped((line.label, line) for line in lines if line.label)
    return EnvironmentRuns(name, tuple(lines), tuple(long[:_MOST_TRENDS]), left_out if more > 0 else "", labels)


def _grouped(found: Iterable[tuple[str, RunLine]]) -> dict[str, tuple[RunLine, ...]]:
    """The lines of each key, the key of the latest line first."""
    grouped: dict[str, list[RunLine]] = {}
    for key, line in found:
        lines = grouped.pop(key, [])
        lines.append(line)
        grouped[key] = lines
    return {key: tuple(lines) for key, lines in reversed(grouped.items())}
