"""The looks of a run, look-01.json and so on: what each found after its level, and which visits were due by them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, cast

from pydantic import Field

from analysis.errors import Problem
from analysis.flags import REFERENCE_OFF, REPEATED
from steps import documents
from steps.catalogue.options import MOST_ARMS, Settings
from steps.collect import Row
from steps.collect.decision import StopReason
from steps.domain import MOST_TRIALS, Visit
from steps.settings import schedule
from steps.strict_model import Count, Seconds, StrictModel


class OffVisit(StrictModel):
    """A visit whose host-network reference was off its dataplane's others, as a clause; it is repeated."""

    visit: Count
    reason: str


class Look(StrictModel):
    """look-NN.json: what was found after a level of the workflow's rounds, and what follows.

    `elapsed_s`: since the run began. `compared`, `decided`: the comparisons that matter, and those that are decided;
    `error`: why none could be made. `dropped`: the dataplanes that are decided on every path. `visits`: the numbers of
    those that follow. `stopped`: why there are none; None: the run goes on. `reason`: all of it in a sentence.
    """

    level: Count
    round: Count
    elapsed_s: Seconds
    compared: Count
    decided: Count
    dropped: Annotated[tuple[str, ...], Field(max_length=MOST_ARMS)] = ()
    off: Annotated[tuple[OffVisit, ...], Field(max_length=MOST_TRIALS)] = ()
    visits: Annotated[tuple[Count, ...], Field(max_length=MOST_TRIALS)] = ()
    stopped: StopReason | None = None
    reason: str
    error: str | None = None


def look_name(level: int) -> str:
    """The name of a look's document within the run's directory."""
    return f"look-{level:02d}.json"


def read_looks(directory: Path) -> tuple[Look, ...]:
    """The looks of a run in their order, up to the first that is missing or damaged."""
    found: list[Look] = []
    while True:
        level = len(found) + 1
        try:
            look = documents.read_document(directory / look_name(level), Look)
        except (FileNotFoundError, Problem):
            return tuple(found)
        if look.level != level:
            return tuple(found)
        found.append(look)


def due_visits(
    settings: Settings, planned: Sequence[Visit], looks: Sequence[Look], reached: Callable[[Visit], bool]
) -> tuple[Visit, ...]:
    """The visits that the run had to measure, by number: those of its first level, and those that each look asked for.

    Where the last of them were measured and no look followed, the next level was due as well, so that a run that was
    cut short there is not taken for a complete one. What was measured counts in any case. `settings`: those of a
    program without looks had to measure every planned visit. `planned`: every visit that the run might have had.
    `reached`: whether a visit has documents.
    """
    if "margin_ratio" not in settings.model_fields_set:
        return tuple(planned)
    level = len(looks) + 1
    first = schedule.level_rounds(settings, 1)
    last = [v.visit for v in planned if v.round in first] if not looks else list(looks[-1].visits)
    due = {v.visit for v in planned if v.round in first} | {number for look in looks for number in look.visits}
    every = [*planned, *(schedule.repeat(planned, visit) for visit in planned)]
    due |= {visit.visit for visit in every if visit.visit not in due and reached(visit)}
    by_number = {visit.visit: visit for visit in every}
    if last and all(reached(by_number[number]) for number in last if number in by_number):
        following = schedule.level_rounds(settings, level + 1)
        dropped = looks[-1].dropped if looks else ()
        due |= {v.visit for v in planned if v.round in following and v.dataplane not in dropped}
    return tuple(by_number[number] for number in sorted(due) if number in by_number)


def flag_off_visits(rows: Iterable[Row], planned: Sequence[Visit], looks: Sequence[Look]) -> None:
    """Flag the measured trials of visits whose host-network reference was off; rows of `trials`, changed in place.

    A trial whose repeat was measured counts by its repeat.
    """
    rows = list(rows)
    shift = sum(len(visit.trials) for visit in planned)
    off = {each.visit for look in looks for each in look.off}
    measured = {row["trial"] for row in rows if row["outcome"] == "measured"}
    for row in rows:
        if row["visit"] in off and row["trial"] in measured:
            flag = REPEATED if cast("int", row["trial"]) + shift in measured else REFERENCE_OFF
            row["flags"] = [*cast("list[str]", row["flags"]), flag]


def look_parameters(planned: Sequence[Visit], looks: Sequence[Look]) -> Row:
    """What a stored run has of its looks, beside its settings.

    `rounds_run`: the last round that a look followed. `stopped`, `stopped_reason`: why there were no more; null where
    the run was ended before it stopped. `decided_after`: the dataplanes that were decided on every path, each with the
    round. `repeats`: the visits whose reference was off, why, and as which visit each was repeated; null: it was not.
    `looks`: what each found.
    """
    last = looks[-1] if looks else None
    decided: dict[str, int] = {}
    for look in looks:
        decided = {arm: decided.get(arm, look.round) for arm in look.dropped}
    by_number = {visit.visit: visit for visit in planned}
    return {
        "rounds_run": last.round if last else None,
        "stopped": last.stopped if last else None,
        "stopped_reason": last.reason if last and last.stopped else None,
        "decided_after": decided,
        "repeats": [
            {
                "visit": each.visit,
                "repeated_as": number if (number := len(planned) + each.visit) in look.visits else None,
                "dataplane": by_number[each.visit].dataplane,
                "round": by_number[each.visit].round,
                "reason": each.reason,
            }
            for look in looks
            for each in look.off
            if each.visit in by_number
        ],
        "looks": [look.model_dump(include={"round", "elapsed_s", "compared", "decided", "error"}) for look in looks],
    }
