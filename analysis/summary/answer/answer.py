"""The answer to which dataplane for which traffic, and what the move to it costs. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ConfigDict

from analysis import formatting
from analysis.console.commands import continue_command
from analysis.domain import StoredScale
from analysis.flags import MARKED
from analysis.metrics import LEADING
from analysis.metrics.metric import ComparedMetric
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats import scales
from analysis.stats.arms import RunArm
from analysis.stats.run import StoredRun
from analysis.stats.verdicts.comparison import Comparison
from analysis.summary.answer import course
from analysis.summary.answer.certainty import Certainty, rounds_to_decide
from analysis.summary.answer.sentence import answer_sentence
from analysis.summary.figures.switch_costs import SwitchTotals
from analysis.summary.figures.traffic import QUOTED, TitledDataplane, TrafficKind, traffic_kind

NOTHING: Final = "Nothing was measured, so there is no answer."

_SUFFIX: Final = re.compile(r" \([^()]*\)$")


@dataclass(frozen=True, slots=True)
class MeasuredAmounts:
    """How much of a run was measured.

    `trials`: with a result. `rounds`: whole ones with one. `lasted_s`: from the first switch to the end of the last
    trial; None: unknown. `confidence`: what the intervals claim together, as a sentence.
    """

    trials: int
    rounds: int
    lasted_s: float | None
    confidence: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a run.

    Attributes:
        sentence: of at most 25 words, after the scale where the run has several.
        baseline: the name of the dataplane with which the others are compared; empty where nothing was measured.
        sides: the dataplanes.
        margin_ratio: how much counts as the same.
        kinds: the table; empty where nothing was compared.
        moves: what the switches to each dataplane cost; none in the lab, which is rebuilt for each.
        certainty: how sure it is.
        notes: sentences on what to keep in mind.
        scale: the scale that the table is of, in words: the largest; empty in a run of one scale.
    """

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="strings")

    sentence: str
    baseline: str
    margin_ratio: float
    sides: tuple[TitledDataplane, ...]
    kinds: tuple[TrafficKind, ...]
    moves: tuple[SwitchTotals, ...]
    certainty: Certainty
    notes: tuple[str, ...] = ()
    scale: str = ""

    def title(self, dataplane: str) -> str:
        """The title of a dataplane."""
        return next((side.title for side in self.sides if side.name == dataplane), dataplane)

    def move(self, dataplane: str) -> SwitchTotals | None:
        """What the move to a dataplane costs; None: no switch to it was measured."""
        return next((move for move in self.moves if move.dataplane == dataplane), None)


def make_answer(
    about: StoredRun, comparisons: Sequence[Comparison], moves: Iterable[SwitchTotals], measured: MeasuredAmounts
) -> Answer:
    """The answer of a run, at its largest scale: a table with every scale would hide the kinds of traffic.

    `comparisons`: between any two of its dataplanes, at any scale.
    """
    largest = max(about.scales, default=StoredScale())
    comparisons = [c for c in comparisons if c.cell.scale == largest]
    scale = scales.describe(largest, about.factors)
    sides = short_titles(about.arms)
    names = [side.name for side in sides]
    kinds = [
        traffic_kind(title, about.unscaled_path(cell), names, cell, comparisons)
        for cell in about.cells
        if cell.scale == largest and (title := about.traffic(cell))
    ]
    table = tuple(kind for kind in kinds if kind is not None) if len(names) > 1 else ()
    margin_ratio = next((c.margin_ratio for c in comparisons if c.scale == "ratio"), 0.0)
    sentence = _sentence(about, sides, table, margin_ratio, measured.trials)
    return Answer(
        sentence=f"At {scale}: {sentence}" if scale and table else sentence,
        baseline=about.baseline.name if about.baseline else "",
        margin_ratio=margin_ratio,
        sides=sides,
        kinds=table,
        moves=tuple(moves),
        certainty=_certainty(about, table, comparisons, measured),
        notes=(*course.course_notes(about), *filter(None, [_host_network(about, comparisons)])),
        scale=scale,
    )


def short_titles(arms: Sequence[RunArm]) -> tuple[TitledDataplane, ...]:
    """The dataplanes, without what all their titles have in brackets at the end: `(lab)`."""
    ends = {found[0] if (found := _SUFFIX.search(arm.title)) else "" for arm in arms}
    shared = len(next(iter(ends))) if len(ends) == 1 else 0
    return tuple(TitledDataplane(arm.name, arm.title[: len(arm.title) - shared]) for arm in arms)


def _sentence(
    about: StoredRun, sides: Sequence[TitledDataplane], kinds: Sequence[TrafficKind], margin_ratio: float, trials: int
) -> str:
    if trials == 0 or about.baseline is None:
        return NOTHING
    if about.is_dealt:
        each = "each path and each tool in one dataplane"
        return f"{formatting.count(trials, 'trial')} measured, {each}, so there is nothing to compare."
    if len(sides) == 1:
        return f"Only {sides[0].title} was measured, so there is nothing to compare it with."
    if not kinds:
        return "No traffic of pods was measured with two dataplanes, so there is no answer."
    sentence = answer_sentence(sides, kinds, about.baseline.name, margin_ratio)
    marked = any(standing.mark for kind in kinds for cell in kind.cells for standing in cell.standings)
    return sentence + MARKED if marked else sentence


def _certainty(
    about: StoredRun, kinds: Sequence[TrafficKind], comparisons: Iterable[Comparison], measured: MeasuredAmounts
) -> Certainty:
    still_open = _open(kinds, comparisons, LEADING) or _open(kinds, comparisons, QUOTED)
    more, unsettled = rounds_to_decide(still_open)
    each_s = measured.lasted_s / measured.rounds if measured.lasted_s and measured.rounds else None
    return Certainty(
        rounds=measured.rounds,
        most_rounds=about.parameters.get("rounds") or measured.rounds,
        measuring_s=measured.lasted_s,
        stopped=course.stopped(about),
        confidence=measured.confidence,
        undecided=len(still_open),
        unsettled=unsettled,
        more_rounds=more,
        more_s=each_s * more if each_s else None,
        command=_command(about, more) if more and about.imported is None else "",
    )


def _command(about: StoredRun, rounds: int) -> str:
    results, context = about.parameters.get("results") or "results", "" if about.is_lab else about.environment
    return continue_command(results, about.run_id, rounds, context)


def _open(
    kinds: Iterable[TrafficKind], comparisons: Iterable[Comparison], metrics: Iterable[ComparedMetric]
) -> list[Comparison]:
    """The undecided comparisons by these metrics that leave a figure of the table undecided."""
    undecided = {
        (kind.measured, standing.metric, cell.dataplane)
        for kind in kinds
        for cell in kind.cells
        for standing in cell.standings
        if standing.standing == "undecided"
    }
    names = {metric.name for metric in metrics}
    return [
        c
        for c in comparisons
        if c.metric in names
        and not c.decided
        and {(c.cell, c.metric, name) for name in (c.baseline, c.dataplane)} <= undecided
    ]


def _host_network(about: StoredRun, comparisons: Iterable[Comparison]) -> str:
    """A sentence where the path between the nodes' own networks differs between dataplanes; else empty."""
    moved = [
        f"{about.arm(c.dataplane).title} {c.estimate} against {about.arm(c.baseline).title}"
        for c in comparisons
        if c.metric == THROUGHPUT and c.against_baseline and c.gain is not None and not about.traffic(c.cell)
    ]
    if not moved:
        return ""
    return (
        f"The host network itself changes with the dataplane ({'; '.join(moved)}): figures relative to it leave out "
        "what both have in common."
    )
