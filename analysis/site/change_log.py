"""Every change that the reports of an environment found, once each. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from analysis.site.runs import RunLine
from analysis.stats.regressions import LevelChange

_NEWS: Final = frozenset({"regression", "standing", "improvement"})


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """A change, as the last report that has it gives it.

    Attributes:
        change: the change.
        reports: how many reports have it.
        is_stored: whether the first night of the new level is still in the store.
    """

    change: LevelChange
    reports: int
    is_stored: bool

    @property
    def night(self) -> str:
        """The first night of the new level: `3 March 2026`."""
        return f"{self.change.began_at:%-d %B %Y}" if self.change.began_at else "time unknown"


def find_changes(lines: Iterable[RunLine]) -> list[LoggedChange]:
    """The changes by the limit or more, that of the latest night first.

    Args:
        lines: the runs of an environment, the earliest first.
    """
    found: dict[tuple[object, ...], tuple[LevelChange, int]] = {}
    runs = set()
    for line in lines:
        runs.add(line.run_id)
        for change in line.changes:
            if change.status in _NEWS:
                place = (change.metric, change.path, change.dataplane, change.against, change.run_id)
                found[place] = change, found.get(place, (change, 0))[1] + 1
    logged = [LoggedChange(change, reports, change.run_id in runs) for change, reports in found.values()]
    return sorted(logged, key=lambda one: (str(one.change.began_at), one.change.where), reverse=True)
