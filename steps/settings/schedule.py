"""The order of everything that a run measures, determined by its settings, and how long that takes. Pure."""

from dataclasses import dataclass
from random import Random
from typing import Final

from steps.catalogue.cells import Cell
from steps.catalogue.dataplanes import Arm
from steps.catalogue.environments import is_lab
from steps.catalogue.options import Settings
from steps.domain import Trial, Visit
from steps.tools.iperf3 import CANARY_S


@dataclass(frozen=True, slots=True)
class Overhead:
    """Wall seconds beyond the sending itself; the display corrects them during a run.

    `run_s`: checks before all visits; restore, rows, statistics and report after them. `visit_s`: switch, proof before
    and after, servers. `topology_s`: one measuring step; a visit has two more, the canaries. `trial_s`: the program's
    start, its control connection, the counters and the document.
    """

    run_s: float
    visit_s: float
    topology_s: float
    trial_s: float


LAB_OVERHEAD: Final = Overhead(run_s=14.0, visit_s=0.1, topology_s=0.15, trial_s=0.08)
"""Measured on an idle machine of two cores."""

CLUSTER_OVERHEAD: Final = Overhead(run_s=60.0, visit_s=100.0, topology_s=5.0, trial_s=0.5)
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

    Within a visit the topologies are in random order, and so are the trials of each. Visits and trials count from 1.
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


def expected_s(settings: Settings) -> float:
    """Wall seconds that a run is expected to take on a quiet machine."""
    beyond = LAB_OVERHEAD if is_lab(settings.environment) else CLUSTER_OVERHEAD
    steps = len({cell.topology for cell in settings.cells}) + 2
    sending = settings.repetitions * sum(
        beyond.trial_s + cell.program.lasts_s(settings.duration_s, settings.omit_s) for cell in settings.cells
    )
    visit = beyond.visit_s + settings.idle_s + 2 * CANARY_S + steps * beyond.topology_s + sending
    burdens = BURDEN_S_PER_RULE * sum(Arm.parse(arm).burden for arm in settings.dataplanes)
    return beyond.run_s + settings.rounds * (len(settings.dataplanes) * visit + burdens)


def _trials(settings: Settings, random: Random, visit: int, first: int) -> tuple[Trial, ...]:
    topologies = list(dict.fromkeys(cell.topology for cell in settings.cells))
    random.shuffle(topologies)
    planned: list[tuple[Cell, int]] = []
    for topology in topologies:
        group = [
            (cell, repetition)
            for cell in settings.cells
            if cell.topology == topology
            for repetition in range(1, settings.repetitions + 1)
        ]
        random.shuffle(group)
        planned += group
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
