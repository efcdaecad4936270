"""Changes grouped by dataplane and night for readers: news first, the most certain figure first."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from analysis import formatting, metrics
from analysis.stats.change_points.step_search import RECENT
from analysis.stats.nights.regressions import LevelChange

KINDS: Final = {
    "regression": "Worse",
    "suspected": "Suspected",
    "improvement": "Better",
    "standing": f"Worse for more than {RECENT} nights",
    "small": "Smaller than the limit",
    "past": "Earlier",
}
"""The kinds of changes in their order, with their headings."""

LOUD: Final = ("regression", "suspected", "improvement", "standing")
"""The kinds that are shown in short reports, too."""

_RANK: Final = {metric.name: rank for rank, metric in enumerate(metrics.COMPARED)}


@dataclass(frozen=True, slots=True)
class GroupedChange:
    """One figure of a group: where it was measured, and its change, absolute and relative to the baseline."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """The changes of one kind for one dataplane since one night, the most certain first."""

    kind: str
    dataplane: str
    changes: tuple[LevelChange, ...]

    @property
    def heading(self) -> str:
        """The dataplane and the night: `lab-ebpf, since the night of 2026-11-20 (run NAME)`."""
        first = self.changes[0]
        if first.gradual:
            return f"{self.dataplane}, bit by bit since {first.night}"
        since = "in" if first.status == "past" or first.nights_since == 1 else "since"
        alone = ""
        if first.status == "suspected":
            one = first.nights_since == 1
            alone = " alone; one night is no change point yet" if one else "; not certain yet"
        return f"{self.dataplane}, {since} {first.night}{alone}"

    @property
    def beside(self) -> str:
        """The other known differences of that night; empty where there are none."""
        return ", ".join(self.changes[0].beside)

    @property
    def items(self) -> tuple[GroupedChange, ...]:
        """A line for each figure."""
        by_place: dict[str, list[str]] = {}
        for change in self.changes:
            against = "" if change.against is None else f"against {change.against} "
            by_place.setdefault(change.where, []).append(against + change.extent)
        return tuple(GroupedChange(where, "; ".join(texts)) for where, texts in by_place.items())

    @property
    def line(self) -> str:
        """The group in one line: the most certain figure, and the number of others."""
        first, items = self.changes[0], self.items
        more = f", and {formatting.count(len(items) - 1, 'more figure')}" if len(items) > 1 else ""
        beside = f" (that night: {self.beside})" if self.beside else ""
        against = "" if first.against is None else f" against {first.against}"
        return f"{self.heading}: {first.where}{against} {first.extent}{more}{beside}"


def group_changes(changes: Iterable[LevelChange]) -> list[ChangeGroup]:
    """The groups of changes in the order of `KINDS`, the latest nights first."""
    found: dict[tuple[str, str, str, bool], list[LevelChange]] = {}
    for change in changes:
        found.setdefault((_kind(change), change.dataplane, change.run_id, change.gradual), []).append(change)
    ordered = [
        ChangeGroup(kind, dataplane, tuple(sorted(each, key=_rank))) for (kind, dataplane, *_), each in found.items()
    ]
    return sorted(ordered, key=lambda group: (list(KINDS).index(group.kind), group.changes[0].nights_since))


def regression_alarm(changes: Iterable[LevelChange]) -> str:
    """One sentence on what is worse by the limit or more, where and since when; empty without recent regressions."""
    ordered = group_changes(change for change in changes if change.status == "regression")
    if not ordered:
        return ""
    first, rest = ordered[0], formatting.count(len(ordered) - 1, "more such change") if len(ordered) > 1 else ""
    return f"Worse: {first.line}{f'; {rest}' if rest else ''}."


def _kind(change: LevelChange) -> str:
    """The status; an improvement that is no longer recent is `past`."""
    return "past" if change.status == "improvement" and change.nights_since > RECENT else change.status


def _rank(change: LevelChange) -> tuple[int, bool, float]:
    """By metric, absolute changes before relative ones, the most certain first."""
    return _RANK[change.metric], change.against is not None, -min(abs(change.low), abs(change.high))
