"""The order of everything that a run may measure, determined by its settings, and how long that takes. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from analysis import formatting
from analysis.domain import FIRST_LOOK
from steps.catalogue import profiles
from steps.catalogue.cells import PlannedCell
from steps.catalogue.dataplanes import Arm
from steps.catalogue.environments import is_lab
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.domain import Trial, Visit
from steps.settings import scale_order, turn_order
from steps.tools.iperf3.iperf3 import CANARY_S

TYPICAL_DIFFERENCE_RATIO: Final = 0.2
"""By how much dataplanes differ in the expected time of a profile that promises nothing."""

MOST_LEVELS: Final = 40
"""How deep the workflow's rounds run each other: Argo ends what is 100 templates deep."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Wall seconds beyond the sending itself; the display corrects them during a run.

    `begin_s`: checks before all visits. `end_s`: rows, statistics and report after them, up to the verdict.
    `restore_s`: after the verdict. `look_s`: after each round. `visit_s`: switch, proof before and after, servers, the
    start of the measuring steps. `trial_s`: the turn, quiet nodes, the program's start, its control connection, the
    counters and the document. `changes_s`: instead of it, of a trial that times changes of the cluster.
    """

    begin_s: float
    end_s: float
    restore_s: float
    look_s: float
    visit_s: float
    trial_s: float
    changes_s: float

    @property
    def after_s(self) -> float:
        """From the last visit to the end of the run."""
        return self.end_s + self.restore_s


_LAB: Final = Overhead(begin_s=4.0, end_s=9.0, restore_s=1.0, look_s=1.0, visit_s=0.5, trial_s=0.08, changes_s=0.08)
"""Measured on an idle machine of two cores."""

CLUSTER_OVERHEAD: Final = Overhead(
    begin_s=30.0, end_s=25.0, restore_s=70.0, look_s=10.0, visit_s=40.0, trial_s=0.8, changes_s=11.0
)
"""Measured with Argo 4.1 on two nodes that had nothing else to do. Trials that time changes for 5 s took 15 to 20 s,
24 to 35 s at 2,000 Services in nftables: ten Services are made and removed, the agents report twice, a first change of
each tells how long the agents take, and changes that have begun end."""

OPERATOR_VISIT_S: Final = 80.0
"""Added to a visit where the Tigera operator installed Calico and rolls calico-node out node by node: switches took 45
to 112 s on two nodes with two busy cores, where a manifest's took 15 s."""

BURDEN_S_PER_RULE: Final = 2e-5
"""Added to a visit by each rule of a burdened twin, on both nodes at once: measured with 1,000 to 100,000 rules."""


def without_dataplanes(settings: Settings, left_out: set[str]) -> Settings:
    """The settings without some dataplanes or topologies."""
    return settings.model_copy(
        update={
            "dataplanes": tuple(arm for arm in settings.dataplanes if not left_out & {arm, Arm.parse(arm).name}),
            "cells": tuple(cell for cell in settings.cells if cell.topology not in left_out),
        }
    )


def make_schedule(settings: Settings) -> tuple[Visit, ...]:
    """The visits in order, the same for the same settings: each round visits every dataplane once, in random order.

    Each repetition within a visit goes through all scales (`scale_order`), and at each scale through all cells, in
    random order. Visits and trials count from 1.
    """
    random = Random(settings.seed)  # noqa: S311 - an order that can be drawn again, not a secret
    visits: list[Visit] = []
    present: Scale | None = None
    for number in range(1, settings.rounds + 1):
        arms = list(settings.dataplanes)
        random.shuffle(arms)
        for arm in arms:
            first = 1 + sum(len(visit.trials) for visit in visits)
            trials = _trials(settings, cells_of(settings, arm), random, len(visits) + 1, first, present)
            present = trials[-1].scale if trials else None
            visits.append(Visit(visit=len(visits) + 1, round=number, dataplane=arm, trials=trials))
    return tuple(visits)


def cells_of(settings: Settings, arm: str) -> tuple[PlannedCell, ...]:
    """What a dataplane's visits measure: all cells, or its part where the profile deals them out."""
    if not profiles.is_dealt(settings.profile):
        return settings.cells
    return settings.cells[settings.dataplanes.index(arm) :: len(settings.dataplanes)]


def with_scales(visits: Sequence[Visit], settings: Settings) -> tuple[Visit, ...]:
    """The visits of a plan from before scales with the only one that its settings have; others as they are."""
    only = {"scale": settings.scales[0]}
    return tuple(
        visit.model_copy(
            update={
                "trials": tuple(t if "scale" in t.model_fields_set else t.model_copy(update=only) for t in visit.trials)
            }
        )
        for visit in visits
    )


def is_plan(visits: Sequence[Visit], settings: Settings) -> bool:
    """Whether these visits are those of the settings' plan, in the order of this version or of an earlier one."""
    trials = [(visit.visit, trial) for visit in visits for trial in visit.trials]
    return (
        _unordered(visits) == _unordered(make_schedule(settings))
        and [visit.visit for visit in visits] == list(range(1, len(visits) + 1))
        and [(trial.visit, trial.trial) for _, trial in trials] == [(v, n) for n, (v, _) in enumerate(trials, 1)]
        and all([t.position for t in v.trials] == list(range(1, len(v.trials) + 1)) for v in visits)
    )


def _unordered(visits: Sequence[Visit]) -> Counter[tuple[int, str, frozenset[str]]]:
    """What is measured, without the order of visits in a round and of trials in a visit."""
    ordered = {"trial", "visit", "position"}
    return Counter(
        (visit.round, visit.dataplane, frozenset(trial.model_dump_json(exclude=ordered) for trial in visit.trials))
        for visit in visits
    )


def level_rounds(settings: Settings, level: int) -> range:
    """The rounds that a level of the workflow measures, after which the run looks.

    The first level has all rounds that no decision can follow, but where a budget may end the run before. Each later
    one has one round, or as many as keep within MOST_LEVELS. Empty for the level after the last, which only repeats
    visits.
    """
    begins = min(FIRST_LOOK if settings.budget_s is None else 1, settings.rounds)
    each = -(-(settings.rounds - begins) // (MOST_LEVELS - 1))
    first, last = (1, begins) if level == 1 else (begins + 1 + (level - 2) * each, begins + (level - 1) * each)
    return range(first, min(last, settings.rounds) + 1)


def level_title(settings: Settings, level: int) -> str:
    """A level in words without spaces: `round-3`, `rounds-4-to-6`, `repeats`."""
    rounds = level_rounds(settings, level)
    if len(rounds) > 1:
        return f"rounds-{rounds[0]}-to-{rounds[-1]}"
    return f"round-{rounds[0]}" if rounds else "repeats"


def repeat(visits: Sequence[Visit], visit: Visit) -> Visit:
    """A planned visit once more, in the same round. Its number, and those of its trials, follow all planned ones."""
    number, trials = len(visits) + visit.visit, sum(len(planned.trials) for planned in visits)
    return visit.model_copy(
        update={
            "visit": number,
            "trials": tuple(t.model_copy(update={"visit": number, "trial": trials + t.trial}) for t in visit.trials),
        }
    )


def find_visit(visits: Sequence[Visit], number: int) -> Visit | None:
    """The planned visit of this number, or the repeat of one."""
    if 1 <= number <= len(visits):
        return visits[number - 1]
    if len(visits) < number <= 2 * len(visits):
        return repeat(visits, visits[number - len(visits) - 1])
    return None


def overhead(settings: Settings) -> Overhead:
    """That of the settings' environment."""
    return _LAB if is_lab(settings.environment) else CLUSTER_OVERHEAD


@dataclass(frozen=True, slots=True)
class PlannedTime:
    """Wall seconds that a run takes on a quiet machine.

    `least_s`: it stops at its first look. `expected_s`: all dataplanes differ by `difference_ratio`. `most_s`: it has
    all of its rounds, or spends its budget. `rounds`: the same three, in rounds.
    """

    least_s: float
    expected_s: float
    most_s: float
    rounds: tuple[int, int, int]
    difference_ratio: float

    @property
    def sentence(self) -> str:
        """`3 min to 12 min (3 to 16 rounds), about 5 min where dataplanes differ by 20 %`; `about 3 min`."""
        if self.rounds[0] == self.rounds[2]:
            return f"about {formatting.duration(self.most_s)}"
        least, expected, most = map(formatting.duration, (self.least_s, self.expected_s, self.most_s))
        rounds = f"{self.rounds[0]} to {self.rounds[2]} rounds"
        difference = formatting.percent(self.difference_ratio, sign=False)
        return f"{least} to {most} ({rounds}), about {expected} where dataplanes differ by {difference}"


def rounds_to_decide(difference_ratio: float, visits_differ_ratio: float = profiles.VISITS_DIFFER_RATIO) -> int:
    """After how many rounds most comparisons are decided where every dataplane differs from every other by so much.

    A half-width shrinks with the root of the rounds, and the first ones tell little of the noise: fitted to simulated
    runs of three and four dataplanes on seven paths (`make bench-verdicts` fails where they are a round off).
    `visits_differ_ratio`: the standard deviation of a visit's figure.
    """
    rounds = 2.3 + 57 * (visits_differ_ratio / math.log1p(-difference_ratio)) ** 2
    return max(FIRST_LOOK, round(rounds))


def planned_time(settings: Settings, *, by_operator: bool = False) -> PlannedTime:
    """How long a run takes. With a single dataplane there is nothing to decide, so that it has all of its rounds.

    `by_operator`: on a cluster where the Tigera operator rolls each switch out.
    """
    beyond, most = overhead(settings), settings.rounds
    changes_s = scale_order.changes_s(settings.scales, settings.environment)
    visit = beyond.visit_s + settings.idle_s + settings.repetitions * changes_s
    visit += OPERATOR_VISIT_S if by_operator else 0.0
    burdens = BURDEN_S_PER_RULE * sum(Arm.parse(arm).burden for arm in settings.dataplanes)
    sending = sum(_sending_s(settings, cells_of(settings, arm)) for arm in settings.dataplanes)
    round_s = len(settings.dataplanes) * visit + sending + burdens + beyond.look_s
    outside_s = beyond.begin_s + beyond.after_s + scale_order.outside_s(settings.scales, settings.environment)
    if settings.budget_s is not None:
        most = min(most, max(1, int((settings.budget_s - outside_s) // round_s)))
    else:
        outside_s -= (len(level_rounds(settings, 1)) - 1) * beyond.look_s
    profile = profiles.BY_NAME.get(settings.profile)
    difference = (profile and profile.finds_ratio) or TYPICAL_DIFFERENCE_RATIO
    stops = (FIRST_LOOK, rounds_to_decide(difference)) if len(settings.dataplanes) > 1 else (most, most)
    least, expected = (min(most, rounds) for rounds in stops)
    rounds = (least, expected, most)
    least_s, expected_s, most_s = (outside_s + number * round_s for number in rounds)
    return PlannedTime(least_s, expected_s, most_s, rounds, difference)


def _sending_s(settings: Settings, cells: Sequence[PlannedCell]) -> float:
    """Wall seconds of a visit's trials and references."""
    beyond = overhead(settings)
    once = [cell for cell in cells for _ in range(_repetitions(cell, settings))]
    repeated = once * len(settings.scales)
    trials = sum(
        (beyond.changes_s if cell.program.by_scale else beyond.trial_s)
        + cell.program.lasts_s(settings.duration_s, settings.omit_s)
        for cell in repeated
    )
    references = turn_order.reference_positions(len(repeated), settings.environment)
    return trials + len(references) * (beyond.trial_s + CANARY_S)


def _repetitions(cell: PlannedCell, settings: Settings) -> int:
    return 1 if cell.program.once_a_visit else settings.repetitions


def _trials(
    settings: Settings, measured: Sequence[PlannedCell], random: Random, visit: int, first: int, present: Scale | None
) -> tuple[Trial, ...]:
    """The trials of a visit: each repetition has all scales, each with every cell once, in random order.

    `present`: the scale that the cluster has, with which the first repetition begins.
    """
    planned: list[tuple[Scale, PlannedCell, int]] = []
    for repetition in range(1, settings.repetitions + 1):
        cells = [cell for cell in measured if repetition <= _repetitions(cell, settings)]
        scales = scale_order.ordered(settings.scales, settings.environment, random, present)
        present = scales[-1]
        for scale in scales:
            random.shuffle(cells)
            planned += [(scale, cell, repetition) for cell in cells]
    return tuple(
        Trial(
            scale=scale,
            trial=first + index,
            visit=visit,
            position=1 + index,
            **cell.model_dump(),
            streams=settings.streams if cell.program.is_parallel else cell.program.streams,
            offered_bps=settings.offered_bps if cell.variant.is_paced else None,
            repetition=repetition,
            duration_s=settings.duration_s,
        )
        for index, (scale, cell, repetition) in enumerate(planned)
    )
