"""Measure a trial that consists of changes of the cluster, with a document like any other trial's."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from analysis.errors import Problem
from steps.catalogue.options import Settings
from steps.documents import Attempt
from steps.domain import Placement, Trial
from steps.measurement.attempts import MeasuringClient, lost_monitor_flags
from steps.measurement.monitors.interference import InterferenceGate
from steps.measurement.monitors.sampler import Sampler, reading_interval_s
from steps.measurement.trials import TrialRecord, begun_document
from steps.measurement.turns.turn_taker import TurnTaker
from steps.settings import turn_order
from steps.tools.programming import PROGRAM


def time_trial(
    placement: Placement,
    trial: Trial,
    settings: Settings,
    directory: Path,
    work: Callable[[Trial], str],
    report: Callable[[str], None],
    turns: TurnTaker,
) -> None:
    """Measure a trial in its turn and write its document; a failure is one, too.

    `trial`: whose tool is `by_scale`. `directory`: gets `documents.trial_name(...)`. `work`: does the changes, and
    returns what its tool reads. `report`: called with a line.

    Raises:
        Problem: the document can't be written, the server of turns is gone, or the step was stopped.
    """
    name = f"{trial.variant.name} at {trial.scale.words}"
    record = TrialRecord(name, directory, begun_document(trial, placement, None), report)
    lease_s = turn_order.scale_lease_s(settings.environment)  # a single change may take a minute where there are many
    turn = turns.take(turn_order.trial_number(trial.position), lease_s)
    record.begin(turn)
    if turn is None:
        return
    client = MeasuringClient.of(placement, turns.programs)
    gate = InterferenceGate(client.others, settings.foreign_cpu_limit_ratio, 0.0, turns.programs)
    attempt, lost = _attempt(client, trial, work)
    disturbed = ("foreign-cpu",) if gate.disturbed(attempt.foreign_cpu_ratio, attempt.wall_s or 0) else ()
    record.end([attempt], (*disturbed, *lost_monitor_flags(lost)))


def _attempt(client: MeasuringClient, trial: Trial, work: Callable[[Trial], str]) -> tuple[Attempt, dict[str, str]]:
    started_at, began = datetime.now(UTC), time.monotonic()
    stdout, error = "", None
    with Sampler(client.placement.monitors, reading_interval_s(trial.duration_s), client.foreign) as sampler:
        try:
            stdout = work(trial)
        except Problem as problem:
            error = str(problem)
    attempt = Attempt(
        started_at=started_at,
        argv=(PROGRAM, trial.tool),
        stdout=stdout,
        exit_code=0 if error is None else 1,
        wall_s=time.monotonic() - began,
        readings=sampler.readings,
        foreign_cpu_ratio=sampler.foreign_cpu_ratio,
        error=error,
    )
    return attempt, sampler.lost
