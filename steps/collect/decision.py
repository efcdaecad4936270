"""After a round: which dataplanes are visited again, which visits are repeated, and why a run stops. Pure.

A dataplane goes on until, on every path, its difference from the baseline is decided, and whether it is the best one
there. The baseline goes on for as long as any other does.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis import formatting
from analysis.domain import FIRST_LOOK, Cell
from analysis.metrics import LEADING_NAMES
from analysis.stats.verdicts.comparison import Comparison
from steps.catalogue.options import Settings
from steps.catalogue.topologies import BY_NAME
from steps.domain import Visit
from steps.settings import schedule

StopReason = Literal["decided", "rounds", "budget"]
"""Why a run stops: all is decided; it had its rounds; another one would have exceeded its budget."""


@dataclass(frozen=True, slots=True)
class ComparisonProgress:
    """How far a run's comparisons are.

    Attributes:
        compared: how many there are that matter.
        undecided: the dataplanes of the others, without the baseline.
    """

    compared: int = 0
    decided: int = 0
    undecided: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows.

    Attributes:
        visits: in their order; none: the run stops.
        stopped: why; None where it goes on.
        dropped: the dataplanes that are decided on every path.
    """

    visits: tuple[Visit, ...]
    stopped: StopReason | None
    dropped: tuple[str, ...]
    reason: str


def progress_of(comparisons: Iterable[Comparison], baseline: str) -> ComparisonProgress:
    """How far the comparisons are that decide which dataplane to choose.

    Those by the leading metrics count: each with the baseline, and between others wherever both may still be the best,
    which no dataplane is that another one is better than beyond the margin. A path that was never measured for both
    does not: more rounds would not decide it. The host network is no kind of traffic, so no table needs it decided; it
    counts where nothing else was measured.
    """
    measured = [c for c in comparisons if c.metric in LEADING_NAMES and c.rounds > 0]
    leading = [c for c in measured if not _between_hosts(c)] or measured
    beaten: dict[tuple[str, Cell], set[str]] = defaultdict(set)
    for c in leading:
        if c.gain is not None and not c.within_margin:
            beaten[_place(c)].add(c.baseline if c.gain else c.dataplane)
    needed = [
        c for c in leading if c.decided or c.against_baseline or not {c.baseline, c.dataplane} & beaten[_place(c)]
    ]
    still = [c for c in needed if not c.decided]
    names = {name for c in still for name in (c.baseline, c.dataplane)}
    return ComparisonProgress(len(needed), len(needed) - len(still), frozenset(names - {baseline}))


def _between_hosts(comparison: Comparison) -> bool:
    topology = BY_NAME.get(comparison.topology)
    return topology is not None and topology.host_network


def _place(comparison: Comparison) -> tuple[str, Cell]:
    return comparison.metric, comparison.cell


def decide(
    settings: Settings,
    level: int,
    found: ComparisonProgress,
    off: Mapping[int, str],
    *,
    measured: int,
    elapsed_s: float,
) -> Decision:
    """Decide what follows a level.

    `level`: the one that was measured. `off`: its planned visits whose host-network reference is off, each with the
    reason; they are repeated. `measured`: the visits so far. `elapsed_s`: since the run began.
    """
    planned = schedule.make_schedule(settings)
    done = max(schedule.level_rounds(settings, level), default=settings.rounds)
    judged = done >= FIRST_LOOK and found.compared > 0
    baseline, others = settings.dataplanes[0], settings.dataplanes[1:]
    dropped = tuple(arm for arm in others if judged and arm not in found.undecided)
    all_decided = judged and not found.undecided
    rounds = () if all_decided else schedule.level_rounds(settings, level + 1)
    repeats = tuple(schedule.repeat(planned, visit) for visit in planned if visit.visit in off)
    following = tuple(v for v in planned if v.round in rounds and v.dataplane not in dropped)
    visits = (*repeats, *following)
    after = _after(done, found, judged=judged)
    if not visits:
        stopped: StopReason = "decided" if all_decided else "rounds"
        were = "was" if settings.rounds == 1 else "were"
        why = "" if all_decided else f", and {formatting.count(settings.rounds, 'round')} {were} the most"
        return Decision((), stopped, dropped, f"{after}{why}.")
    until_s = elapsed_s + len(visits) * elapsed_s / max(1, measured) + schedule.overhead(settings).after_s
    if settings.budget_s is not None and until_s > settings.budget_s:
        budget, until = formatting.duration(settings.budget_s), formatting.duration(until_s)
        return Decision(
            (), "budget", dropped, f"{after}; going on would take until {until}, and the budget is {budget}."
        )
    return Decision(visits, None, dropped, _going_on(after, baseline, following, repeats, off, dropped))


def _after(done: int, found: ComparisonProgress, *, judged: bool) -> str:
    """`After round 5 7 of 12 comparisons are decided`."""
    rounds = formatting.count(done, "round")
    if not judged:
        return f"After {rounds} nothing can be {'decided yet' if done < FIRST_LOOK else 'compared'}"
    if found.decided == found.compared:
        decided = "the one comparison is" if found.compared == 1 else f"all {found.compared} comparisons are"
    else:
        decided = f"{found.decided} of {formatting.count(found.compared, 'comparison')} are"
    return f"After {rounds} {decided} decided"


def _going_on(
    after: str,
    baseline: str,
    following: Sequence[Visit],
    repeats: Sequence[Visit],
    off: Mapping[int, str],
    dropped: Sequence[str],
) -> str:
    going = [arm for arm in dict.fromkeys(visit.dataplane for visit in following) if arm != baseline]
    if going and dropped:
        go = "goes on" if len(going) == 1 else "go on"
        are = "is" if len(dropped) == 1 else "are"
        listed = formatting.listing(list(dropped))
        parts = [f"{after}: {formatting.listing(going)} {go}", f"{listed} {are} not visited again"]
    else:
        parts = [after]
    parts += [f"visit {number} is repeated, since {reason}" for number, reason in off.items()] if repeats else []
    return "; ".join(parts) + "."
