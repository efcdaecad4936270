"""Settings to the order of everything that a run measures, and how long that will take: pure, and fixed by the seed."""

from random import Random
from typing import Final

from steps.model import Cell, Trial, Visit
from steps.settings import CONNECT_PROBE_S, Settings

# Wall seconds beyond the sending itself, seen on an idle machine of two cores; the display corrects them as it goes.
RUN_S: Final = 14.0
"""Around all visits: validate, preflight and restore before and after, rows, statistics and report at the end."""

VISIT_S: Final = 0.4
"""One visit: switch, proof before and after, servers up and down, two canaries."""

TOPOLOGY_S: Final = 0.15
"""One measuring step: its process and its first look at the machine."""

TRIAL_S: Final = 0.08
"""One trial: the program's start, its control connection, the counters and the document."""


def make(settings: Settings) -> tuple[Visit, ...]:
    """The visits in order: each round visits every dataplane once, in random order.

    Inside a visit the trials of a topology stay together, because its servers and counters do; the topologies and the
    trials in each are in random order. The same settings give the same plan. Visits and trials count from 1.
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
    """Wall seconds that a run of these settings is expected to take on a quiet machine."""
    topologies = len({cell.topology for cell in settings.cells})
    sending = settings.repetitions * sum(TRIAL_S + _trial_s(cell, settings) for cell in settings.cells)
    visit = VISIT_S + settings.idle_s + topologies * TOPOLOGY_S + sending
    return RUN_S + settings.rounds * len(settings.dataplanes) * visit


def _trial_s(cell: Cell, settings: Settings) -> float:
    return CONNECT_PROBE_S if cell.protocol == "connect" else settings.duration_s + settings.omit_s


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
            topology=cell.topology,
            protocol=cell.protocol,
            direction=cell.direction,
            streams=1 if cell.protocol == "connect" else settings.streams,
            offered_bps=settings.offered_bps if cell.protocol == "udp" else None,
            repetition=repetition,
            duration_s=settings.duration_s,
        )
        for index, (cell, repetition) in enumerate(planned)
    )
