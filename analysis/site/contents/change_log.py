"""Every change that the reports of an environment found, once each, by dataplane and night. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from analysis import formatting
from analysis.site.contents.runs import RunLine
from analysis.stats.nights.regressions import LevelChange
from analysis.summary.figures.change_groups import ChangeGroup, group_changes

_NEWS: Final = frozenset({"regression", "standing", "improvement"})


@dataclass(frozen=True, slots=True)
class LoggedChanges:
    """The changes of one dataplane since one night, as the last report that has each gives it.

    Attributes:
        group: the changes.
        gain: whether they are for the better.
        reports: how many reports have the one that most have.
        is_stored: whether the first night of the new level is still in the store.
    """

    group: ChangeGroup
    gain: bool
    reports: int
    is_stored: bool

    @property
    def run_id(self) -> str:
        """The run of the first night of the new level."""
        return self.group.changes[0].run_id

    @property
    def heading(self) -> str:
        """`gamma, 16 March 2026, in 8 reports`."""
        first = self.group.changes[0]
        night = f"{first.began_at:%-d %B %Y}" if first.began_at else "time unknown"
        since = "bit by bit since " if first.gradual else ""
        return f"{self.group.dataplane}, {since}{night}, in {formatting.count(self.reports, 'report')}"


def find_changes(lines: Iterable[RunLine]) -> list[LoggedChanges]:
    """The changes by the limit or more, the latest night's first; `lines`: of an environment, the earliest first."""
    found: dict[tuple[object, ...], LevelChange] = {}
    reports = Counter[tuple[object, ...]]()
    runs = set()
    for line in lines:
        runs.add(line.run_id)
        for change in line.changes:
            if change.status in _NEWS:
                found[_key(change)] = change
                reports[_key(change)] += 1
    logged = [
        LoggedChanges(
            group, gain, max(reports[_key(change)] for change in group.changes), group.changes[0].run_id in runs
        )
        for gain in (False, True)
        for group in group_changes(change for change in found.values() if change.gain == gain)
    ]
    return sorted(logged, key=lambda one: str(one.group.changes[0].began_at), reverse=True)


def _key(change: LevelChange) -> tuple[object, ...]:
    return change.metric, change.path, change.dataplane, change.against, change.run_id
