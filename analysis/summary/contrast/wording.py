"""A comparison of runs in words: its headline, what its intervals rest on, and how to read it. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analysis import formatting
from analysis.flags import LEGEND, MARKED
from analysis.metrics import LEADING_NAMES
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats.arms import RunArm
from analysis.stats.contrasts.contrast import Contrast, Outcome
from analysis.summary.answer.answer import short_titles

ARROWS: Final[Mapping[Outcome, str]] = {"better": "↑", "worse": "↓", "same": "↔", "undecided": "↕"}
"""The sign of each outcome, which is shown beside its words."""

_TWO_MOMENTS: Final = "One run a side tells how two moments differ, and not what made them differ."


def titles(arms: Sequence[RunArm]) -> dict[str, str]:
    """The titles of dataplanes by name, without what all of them have in brackets at the end."""
    return {side.name: side.title for side in short_titles(arms)}


def headline(contrasts: Sequence[Contrast], names: Mapping[str, str], margin_ratio: float) -> str:
    """The clearest difference by a leading metric, and how many of each outcome there are.

    The intervals hold together, so the clearest may be quoted. `names`: the titles of dataplanes, by name.
    """
    leading = [one for one in contrasts if one.metric in LEADING_NAMES]
    counted = Counter(one.outcome for one in leading)
    if not leading:
        return "Nothing that both sides measured can be compared."
    texts: dict[Outcome, str] = {
        "worse": "worse on",
        "better": "better on",
        "same": f"the same within {formatting.percent(margin_ratio, sign=False)} on",
        "undecided": "undecided on",
    }
    counts = formatting.listing([f"{text} {counted[key]}" for key, text in texts.items() if counted[key]])
    total = f"B against A is {counts} of {formatting.count(len(leading), 'figure')}."
    found = [one for one in leading if one.different]
    if not found:
        return f"No difference was found: {total}"
    alone = f" {_TWO_MOMENTS}" if any(one.basis == "visits" for one in found) else ""
    return f"{spoken(max(found, key=_clearness), names)} {total}{alone}"


def _clearness(one: Contrast) -> float:
    """How far the nearer end of the interval is from zero, on a scale on which half and double are as far."""
    low, high = one.low or 0.0, one.high or 0.0
    if one.scale == "points":
        return max(low, -high)
    return max(math.log1p(max(low, -0.999)), -math.log1p(max(high, -0.999)))


def spoken(one: Contrast, names: Mapping[str, str]) -> str:
    """A difference as a sentence.

    `eBPF's gain over iptables on pod-to-service tcp was +41 %, is +18 % (its ratio changed by −16 % [−21, −12]).`
    """
    name = names.get(one.dataplane, one.dataplane)
    where = f"on {one.path}" if one.metric == THROUGHPUT else f"in {one.metric_title} on {one.path}"
    if one.against is None:
        return f"{name} {where}: {one.figures}, {one.estimate}."
    base = names.get(one.against, one.against)
    figures = [formatting.percent(value) + one.points for value in (one.a or 0.0, one.b or 0.0)]
    gained = one.metric == THROUGHPUT and min(one.a or 0.0, one.b or 0.0) >= 0
    what = f"{name}'s gain over {base}" if gained else f"{name}'s difference to {base}"
    ratio = "" if one.scale == "points" else "its ratio changed by "
    return f"{what} {where} was {figures[0]}, is {figures[1]} ({ratio}{one.estimate})."


def basis_sentence(contrasts: Iterable[Contrast], runs: tuple[int, int]) -> str:
    """What the intervals rest on, and what they can't exclude; `runs`: how many stand on each side."""
    known = {contrast.basis for contrast in contrasts if contrast.basis}
    single = "each side" if runs == (1, 1) else "A" if runs[0] == 1 else "B" if runs[1] == 1 else ""
    parts = []
    if "visits" in known:
        parts.append(
            f"One run stands on {single or 'a side'}, with less than a week of nights like it: the intervals know the "
            "noise of visits, not how one moment differs from another. What else changed between the two moments (a "
            "pod on another core, a neighbour, the hour) may be in each difference. Several runs a side, taken in "
            "turns and compared by label, would exclude it"
        )
    if "history" in known:
        parts.append(
            "The intervals take in how far nights of the environment scatter, by its history"
            + (f"; the one run on {single} may still have been an odd night" if single else "")
        )
    if "nights" in known:
        parts.append(
            "Runs count as nights: the intervals take in how far the runs of a side scatter"
            + (f", and the one on {single} is taken to scatter as those of the other side do" if single else "")
        )
    return formatting.sentences(*parts)


def legend(contrasts: Iterable[Contrast], margin_ratio: float) -> str:
    """How to read the table."""
    contrasts = tuple(contrasts)
    mark = f" {LEGEND}" if any(MARKED in one.finding for one in contrasts) else ""
    what = ", as differences between the two moments" if any(one.basis == "visits" for one in contrasts) else ""
    return (
        "A → B, then by how much B differs from A, with its interval. All intervals of the quoted metrics hold "
        f"together in 95 % of comparisons{what}. ↑ better and ↓ worse: the interval leaves zero out. ↔ the same: it "
        f"lies within {formatting.percent(margin_ratio, sign=False)}. ↕ undecided: neither. Against another dataplane: "
        f"how far it is ahead or behind in A and in B, and by how much the ratio of the two changed.{mark}"
    )


@dataclass(frozen=True, slots=True)
class ContrastLine:
    """A contrast in a cell of the table: the sign with the figures, and how far. `against`: the other's title."""

    outcome: Outcome
    figures: str
    extent: str
    against: str = ""

    @property
    def text(self) -> str:
        """All of it: `↓ +41 % → +18 % against iptables: −16 % [−21, −12]`; `↕ undecided: ...`."""
        known = " " in self.figures
        beside = f" against {self.against}" if self.against else ""
        return f"{self.figures}{beside}{':' if known or beside else ''} {self.extent}"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the table: a path by a metric; the cells are those of the dataplanes of `columns`."""

    title: str
    cells: tuple[tuple[ContrastLine, ...], ...]


def columns(contrasts: Iterable[Contrast], arms: Sequence[RunArm]) -> list[RunArm]:
    """The dataplanes that have a column: those with a contrast; the baseline has none where all are ratios to it."""
    own = {one.dataplane for one in contrasts}
    return [arm for arm in arms if arm.name in own]


def table(contrasts: Iterable[Contrast], arms: Sequence[RunArm], *, leading: bool = True) -> list[TableRow]:
    """The contrasts by the leading metrics, or else by all others: by path and metric, and by dataplane."""
    contrasts = tuple(contrasts)
    shown = [one for one in contrasts if (one.metric in LEADING_NAMES) == leading]
    names, sides = titles(arms), columns(contrasts, arms)
    both = any(one.against is None for one in contrasts)
    rows: dict[str, dict[str, list[ContrastLine]]] = {}
    for one in shown:
        against = names.get(one.against, one.against) if both and one.against else ""
        line = ContrastLine(one.outcome, f"{ARROWS[one.outcome]} {one.figures}".rstrip(), one.finding, against)
        rows.setdefault(one.where, {}).setdefault(one.dataplane, []).append(line)
    return [TableRow(where, tuple(tuple(cells.get(arm.name, ())) for arm in sides)) for where, cells in rows.items()]


def caption(contrasts: Iterable[Contrast], arms: Sequence[RunArm]) -> str:
    """What the table's cells are."""
    if any(one.against is None for one in contrasts):
        return "A → B, and how far B is from A"
    return f"Each dataplane against {titles(arms)[arms[0].name]}: A → B, and how far the ratio of the two changed"
