"""Outcomes for readers: the bar in sentences, the matrix of steps and faults, each point; all of it as a document."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from analysis import formatting
from analysis.console import markdown
from benchmarks.chaos import outcomes
from benchmarks.chaos.outcomes import PointOutcome
from benchmarks.chaos.points import BY_NAME

_HEADS: Final = (
    "point",
    "struck at",
    "objects",
    "lock",
    "left",
    "measured",
    "lost",
    "store",
    "back after, s",
    "beside",
    "bar",
)
_NONE: Final = "–"

_PARTS: Final[tuple[tuple[str, Callable[[PointOutcome], float | None]], ...]] = (
    ("until its moment", lambda outcome: outcome.moment_s),
    ("the fault", lambda outcome: outcome.fault_s),
    ("until the run's end", lambda outcome: outcome.end_s),
    ("until all was as before", lambda outcome: outcome.back_s),
)
"""Where the time of a point goes."""


def points(found: Iterable[PointOutcome]) -> list[str]:
    """The outcomes as lines of a Markdown table, a line each."""
    return markdown.table(_HEADS, ([markdown.escape(cell) for cell in _cells(one)] for one in found)).splitlines()


def matrix(found: Iterable[PointOutcome], steps: Sequence[str]) -> list[str]:
    """How many points of each step and fault kept the bar, as lines of a Markdown table.

    `steps`: of a run, in their order; those without an outcome are left out, as faults are.
    """
    cells: dict[tuple[str, str], list[PointOutcome]] = {}
    for one in found:
        cells.setdefault((_step(one), _fault(one)), []).append(one)
    faults = _in_order({fault for _, fault in cells}, list(BY_NAME))
    rows = (
        [step, *(_count(cells.get((step, fault), [])) for fault in faults)]
        for step in _in_order({step for step, _ in cells}, steps)
    )
    return markdown.table(("step", *faults), rows).splitlines()


def summary(
    found: Sequence[PointOutcome], left_out: Sequence[str] = (), before: Iterable[PointOutcome] = ()
) -> list[str]:
    """The bar, what a point took, and what no figure says, as sentences.

    `found`: the last outcome of each point. `left_out`: the faults that can't be made, with the reason. `before`: all
    outcomes, also those that were tried again.
    """
    struck = sum(outcome.is_struck for outcome in found)
    equal = sum(not outcome.changed for outcome in found)
    lost = sum(outcome.lost for outcome in found)
    readable = sum(outcome.store is None for outcome in found)
    back = [outcome.back_s for outcome in found if outcome.back_s is not None]
    total = len(found)
    sentences = [
        f"{struck} of {total} points struck; objects equal {equal} of {total}; measured rows lost {lost}; store "
        f"readable {readable} of {total}; as before {len(back)} of {total}"
        + (f", at the latest after {max(back):.0f} s." if back else ".")
    ]
    sentences += time_taken(found)
    sentences += [f"Missed: {one.point} (run {one.run}): {'; '.join(one.misses)}." for one in found if one.misses]
    sentences += [
        f"Missed together, and kept alone: {', '.join((one.point, *one.beside))} (run {one.run}): "
        f"{'; '.join(one.misses)}."
        for one in outcomes.missed_together(before)
    ]
    sentences += [f"Not struck: {one.point} (run {one.run})." for one in found if one.verdict == "not struck"]
    sentences += [
        f"Without effect: {one.point} (run {one.run}): check the commands of {_fault(one)}."
        for one in found
        if one.verdict == "without effect"
    ]
    sentences += [f"Left out: {name}." for name in left_out]
    return sentences


def time_taken(found: Iterable[PointOutcome]) -> list[str]:
    """What a point took, and where its time went; nothing where no times were kept."""
    timed = [one for one in found if one.took_s is not None]
    took = [one.took_s for one in timed if one.took_s is not None]
    if not took:
        return []
    parts = [
        f"{statistics.fmean(values):.0f} s {what}"
        for what, of in _PARTS
        if (values := [value for one in timed if (value := of(one)) is not None])
    ]
    return [
        f"A point took {statistics.fmean(took):.0f} s in the mean, from {min(took):.0f} to {max(took):.0f} s"
        + (f": {', '.join(parts)}." if parts else ".")
    ]


def time_left(number: int, found: Iterable[PointOutcome]) -> str:
    """How many points are left, and how long they take by those before, as a sentence."""
    took = [one.took_s for one in found if one.took_s is not None]
    left = f"{formatting.count(number, 'point')} left"
    return f"{left}, about {formatting.duration(number * statistics.fmean(took))}." if took else f"{left}."


def document(found: Sequence[PointOutcome], steps: Sequence[str]) -> str:
    """All that was judged, for docs: what missed the bar comes first, also where it was mended and tried again.

    `found`: in the order of their trial. `steps`: of a run, in their order.
    """
    present = outcomes.latest(found)
    before = [one for one in found if one is not present[one.point, one.seed] and not one.is_kept]
    judged = sorted(present.values(), key=lambda one: (one.is_kept, not one.misses, one.point))
    lines = [
        "# Runs that were struck on a real cluster",
        "",
        "Generated by `make chaos-table`. [What is struck, and by what](benchmarks.md#chaos).",
        "",
        *(line for sentence in summary(judged, before=found) for line in (markdown.escape(sentence), "")),
        *(["## What failed first, and was tried again", "", *points(before), ""] if before else []),
        "## By step and fault",
        "",
        *matrix(judged, steps),
        "",
        "## Every point",
        "",
        *points(judged),
    ]
    return "\n".join(lines) + "\n"


def _in_order(names: set[str], order: Sequence[str]) -> list[str]:
    """The names in this order, and those of earlier versions behind them."""
    return [*(name for name in order if name in names), *sorted(names - set(order))]


def _fault(outcome: PointOutcome) -> str:
    return outcome.point.partition("@")[0]


def _step(outcome: PointOutcome) -> str:
    return outcome.point.partition("@")[2].partition(".")[0]


def _count(found: Sequence[PointOutcome]) -> str:
    """Such as `2 kept, 1 missed`."""
    numbers = (
        (sum(one.is_kept for one in found), "kept"),
        (sum(bool(one.misses) for one in found), "**missed**"),
        (sum(one.verdict == "not struck" for one in found), "not struck"),
    )
    return ", ".join(f"{number} {what}" for number, what in numbers if number) or _NONE


def _cells(outcome: PointOutcome) -> list[str]:
    return [
        outcome.point,
        outcome.struck_at or "the run had ended",
        ", ".join(outcome.changed) or "equal",
        outcome.lock or "free",
        ", ".join(outcome.left) or "nothing",
        str(outcome.measured),
        str(outcome.lost),
        outcome.store or "readable",
        "never" if outcome.back_s is None else f"{outcome.back_s:.0f}",
        ", ".join(outcome.beside) or _NONE,
        outcome.verdict,
    ]
