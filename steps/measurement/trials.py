"""Measure the trials of one topology, each in its turn among the visit's, with a document as soon as it is done.

A trial that fails is a document with its error, and the next one follows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.catalogue.tools import CANARY
from steps.documents import Attempt, TrialDocument
from steps.domain import Placement, Trial
from steps.measurement import client_network, results
from steps.measurement.attempts import MeasuringClient, lost_monitor_flags
from steps.measurement.monitors.interference import ForeignCpu, InterferenceGate
from steps.measurement.monitors.sampler import reading_interval_s
from steps.measurement.turns.turn_taker import Turn, TurnTaker
from steps.settings import turn_order
from steps.tools import bounds
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.tool import here, interval_s

GRACE_S: Final = iperf3.CONNECT_TIMEOUT_S + 5.0
"""How much longer than its trial a program may take before it is killed."""

QUIET_S: Final = 3.0
"""The longest that a trial waits for quiet nodes."""

BEGUN: Final = "its measuring step ended while it was measured: the step failed, was killed, or its node went away"
"""The error in a trial's document from its beginning until the results replace it."""

PASSED: Final = "its turn passed: its measuring step started too late, or measured for longer than its turn lasts"
"""The error of a trial whose turn its step did not get."""

_KILL_S: Final = GRACE_S + 30.0
"""How much longer than its trial an attempt may take, with counters that do not answer."""


def begun_document(trial: Trial, placement: Placement, mtu_bytes: int | None) -> TrialDocument:
    """The document of a trial that has not ended. `mtu_bytes`: of the client's interface; None: unknown."""
    return TrialDocument(trial=trial, placement=placement, mtu_bytes=mtu_bytes, attempts=(), error=BEGUN)


@dataclass
class TrialRecord:
    """The document of one trial, which is written when its turn begins and when it has ended.

    Attributes:
        name: of the trial, before each line that is reported.
        directory: gets `documents.trial_name(...)`.
        document: as it is at the beginning.
        callback: called with a line.
    """

    name: str
    directory: Path
    document: TrialDocument
    callback: Callable[[str], None]

    def report(self, text: str) -> None:
        """Report something about the trial."""
        self.callback(f"{self.name}: {text}")

    def begin(self, turn: Turn | None) -> None:
        """Write that the trial's turn has begun; None: that it has passed.

        Raises:
            Problem: the document can't be written.
        """
        if turn is None:
            self._write(error=PASSED)
            self.report(PASSED)
        else:
            self._write(turn=turn.count)

    def end(self, attempts: Sequence[Attempt], flags: Sequence[str]) -> None:
        """Write what was measured. The last attempt counts.

        Raises:
            Problem: the document can't be written.
        """
        found = results.read_results(self.document.trial, attempts[-1])
        error = found.reason if isinstance(found, Failure) else None
        self._write(attempts=tuple(attempts), flags=tuple(flags), error=error)
        self.report(results.result_sentence(found))

    def _write(self, **more: object) -> None:
        self.document = self.document.model_copy(update=more)
        documents.write_document(self.directory / documents.trial_name(self.document.trial.trial), self.document)


def measure_trials(
    placement: Placement,
    trials: Sequence[Trial],
    settings: Settings,
    directory: Path,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
    *,
    turns: TurnTaker | None = None,
    foreign: ForeignCpu | None = None,
) -> None:
    """Measure the trials in order, each in its turn, with one document each below `directory`.

    `directory`: gets `documents.trial_name(...)` for each trial. `report`: called with one line for each. `progress`:
    progress callback: (done, total). `turns`: of this step; None: it measures alone. `foreign`: reads the CPU time of
    foreign processes; by default this machine's.

    Raises:
        Problem: a document can't be written, the server of turns is gone, or the step was stopped; the documents so far
            are kept.
    """
    turns = turns or TurnTaker.alone()
    client = MeasuringClient.of(placement, turns.programs, foreign)
    gate = InterferenceGate(
        client.others, settings.foreign_cpu_limit_ratio, _remeasure_s(trials, settings), client.programs
    )
    mtu_bytes = client.mtu_bytes()
    with client.programs.stoppable():
        progress(0, len(trials))
        for index, trial in enumerate(trials):
            name = f"{trial.topology} {trial.variant.name} {trial.direction} {index + 1}/{len(trials)}"
            record = TrialRecord(name, directory, begun_document(trial, placement, mtu_bytes), report)
            try:
                turn = turns.take(
                    turn_order.trial_number(trial.position), turn_order.lease_s(_lasts_s(trial, settings))
                )
            except Problem as problem:
                if turns.programs.stopped.is_set():
                    break
                client_network.refuse(placement, trials[index:], directory, str(problem))
                raise
            record.begin(turn)
            if turn is not None:
                record.end(*_measure(client, trial, settings, gate, turn, record.report))
                progress(index + 1, len(trials))
        else:
            index = len(trials)
        if not turns.programs.stopped.is_set():
            turns.leave()
        if turns.programs.stopped.is_set():
            raise Problem(f"stopped after {index} of {len(trials)} trials of {placement.topology}; they are kept")


def _lasts_s(trial: Trial, settings: Settings) -> float:
    return trial.program.lasts_s(trial.duration_s, trial.program.omit_s(settings.omit_s))


def _measure(
    client: MeasuringClient,
    trial: Trial,
    settings: Settings,
    gate: InterferenceGate,
    turn: Turn,
    report: Callable[[str], None],
) -> tuple[tuple[Attempt, ...], tuple[str, ...]]:
    """The attempts at a trial, of which the last counts, and its flags."""
    tool = trial.program
    omit_s = tool.omit_s(settings.omit_s)
    command = client_command(client.placement, trial, settings)
    seconds, every_s = _lasts_s(trial, settings), reading_interval_s(trial.duration_s)
    output_bytes = bounds.output_bytes(seconds, trial.streams, interval_s(trial.duration_s))
    task = results.task(trial, omit_s)
    attempts: list[Attempt] = []
    while True:
        waited_s = gate.wait(QUIET_S) if client.nodes is not None else None
        attempt, lost = client.attempt(tool, command, every_s, timeout_s=seconds + GRACE_S, output_bytes=output_bytes)
        others = client.others_ratio(tool, task, attempt)
        found = {"window_offset_s": float(omit_s), "foreign_cpu_ratio": others, "quiet_wait_s": waited_s}
        attempts.append(attempt.model_copy(update=found))
        disturbed = gate.disturbed(others, attempt.wall_s or 0)
        again = disturbed and len(attempts) < documents.ATTEMPTS and turn.lasts(seconds + _KILL_S)
        if not again or client.programs.stopped.is_set() or not gate.spend(attempt.wall_s or 0):
            break
        report(f"others used {others or 0:.0%} of the CPU, measured again")
        if client.nodes is None:
            gate.wait(QUIET_S)
    flags = ["foreign-cpu"] if disturbed else []
    if client.foreign is not None and others is None:
        flags.append("foreign-cpu-unknown")
    return tuple(attempts), (*flags, *lost_monitor_flags(lost))


def _remeasure_s(trials: Sequence[Trial], settings: Settings) -> float:
    """The budget for measuring disturbed trials again, seconds: enough for the longest one, unless it is none."""
    lasting = [_lasts_s(trial, settings) for trial in trials]
    if not settings.remeasure_ratio or not lasting:
        return 0.0
    return max(settings.remeasure_ratio * sum(lasting), max(lasting) + 1)


def client_command(placement: Placement, trial: Trial, settings: Settings) -> list[str]:
    """The argument vector of a trial's client."""
    tool = trial.program
    task = msgspec.structs.replace(
        results.task(trial, tool.omit_s(settings.omit_s)),
        block_size_bytes=settings.block_size_bytes,
        congestion_control=settings.congestion_control,
        load_port=placement.ports.get(CANARY.name),
        loss_bound_ratio=settings.loss_bound_ratio,
    )
    return here(tool.command(task, placement.address, placement.port(tool.served_by)))
