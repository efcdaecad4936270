"""The order of everything that a run measures, determined by its settings, and how long that takes. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from steps.catalogue.cells import Cell
from steps.catalogue.dataplanes import Arm
from steps.catalogue.environments import is_lab
from steps.catalogue.options import Settings
from steps.domain import Trial, Visit
from steps.settings import turn_order
from steps.tools.iperf3 import CANARY_S


@dataclass(frozen=True, slots=True)
class Overhead:
    """Wall seconds beyond the sending itself; the display corrects them during a run.

    `run_s`: checks before all visits; restore, rows, statistics and report after them. `visit_s`: switch, proof before
    and after, servers, the start of the measuring steps. `trial_s`: the turn, quiet nodes, the program's start, its
    control connection, the counters and the document.
    """

    run_s: float
    visit_s: float
    trial_s: float


LAB_OVERHEAD: Final = Overhead(run_s=14.0, visit_s=0.5, trial_s=0.08)
"""Measured on an idle machine of two cores."""

CLUSTER_OVERHEAD: Final = Overhead(run_s=60.0, visit_s=100.0, trial_s=0.8)
"""Measured on two nodes with Argo 4.1, whose pods take some seconds to start."""

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

    Each visit measures in blocks: each block has every trial once, in random order. Visits and trials count from 1.
    """
    random = Random(settings.seed)  # noqa: S311 - an order that can be drawn again, not a secret
    visits: list[Visit] = []
    for number in range(1, settings.rounds + 1):
        arms = list(settings.dataplanes)
        random.shuffle(arms)
        for arm in arms:
            first = 1 + sum(len(visit.trials) for visit in visits)
            trials = _trials(settings, random, len(visits) + 1, first)
            visits.append(Visit(visit=len(visits) + 1, round=number, dataplane=arm, trials=trials))
    return tuple(visits)


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


def expected_s(settings: Settings) -> float:
    """Wall seconds that a run is expected to take on a quiet machine."""
    beyond = LAB_OVERHEAD if is_lab(settings.environment) else CLUSTER_OVERHEAD
    sending = settings.repetitions * sum(
        beyond.trial_s + cell.program.lasts_s(settings.duration_s, settings.omit_s) for cell in settings.cells
    )
    references = turn_order.reference_positions(len(settings.cells) * settings.repetitions, settings.environment)
    sending += len(references) * (beyond.trial_s + CANARY_S)
    visit = beyond.visit_s + settings.idle_s + sending
    burdens = BURDEN_S_PER_RULE * sum(Arm.parse(arm).burden for arm in settings.dataplanes)
    return beyond.run_s + settings.rounds * (len(settings.dataplanes) * visit + burdens)


def _trials(settings: Settings, random: Random, visit: int, first: int) -> tuple[Trial, ...]:
    """The trials of a visit: each repetition is a block, in which every cell is measured once, in random order."""
    planned: list[tuple[Cell, int]] = []
    for repetition in range(1, settings.repetitions + 1):
        block = [(cell, repetition) for cell in settings.cells]
        random.shuffle(block)
        planned += block
    return tuple(
        Trial(
            trial=first + index,
            visit=visit,
            position=1 + index,
            **cell.model_dump(),
            streams=settings.streams if cell.program.is_parallel else 1,
            offered_bps=settings.offered_bps if cell.variant.is_paced else None,
            repetition=repetition,
            duration_s=settings.duration_s,
        )
        for index, (cell, repetition) in enumerate(planned)
    )
