"""Measure the trials of one topology, one after another, each kept as a document as soon as it is done.

A trial that fails is a document with its error, and the next goes on.
"""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import psutil

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.catalogue.tools import CANARY
from steps.counters import Counters
from steps.documents import Attempt, CanaryDocument, TrialDocument
from steps.domain import Moment, Monitor, Placement, Trial
from steps.measurement import interference, results
from steps.measurement.interference import ForeignCpu, InterferenceGate
from steps.measurement.sampler import Sampler, read
from steps.measurement.subprocesses import Programs
from steps.tools import bounds, iperf3
from steps.tools.failure import Failure
from steps.tools.tool import Tool, here, interval_s

GRACE_S: Final = iperf3.CONNECT_TIMEOUT_S + 5.0
"""How much longer than its trial a program may take before it is killed."""

CANARY_TIMEOUT_S: Final = iperf3.CANARY_S + 2 * GRACE_S

BEGUN: Final = "its measuring step ended while it was measured: the step failed, was killed, or its node went away"
"""The error of a trial's document from its beginning until it is replaced by what was measured."""

_BUSY_WAIT_S: Final = 5.0
_BUSY_STEP_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may take: seconds, and bytes on each of its outputs."""

    timeout_s: float
    output_bytes: int


def measure_trials(
    placement: Placement,
    trials: Sequence[Trial],
    settings: Settings,
    directory: Path,
    say: Callable[[str], None],
    progress: Callable[[int, int], None],
    *,
    others: ForeignCpu | None = None,
) -> None:
    """Measure the trials in order, one document each below `directory`.

    Args:
        placement: where the trials' ends are.
        trials: of the placement's topology.
        settings: of the run.
        directory: gets `raw.trial_name(...)` for each trial.
        say: called with one line for each trial.
        progress: progress callback: (done, total).
        others: what tells how much CPU others use; the machine's own by default.

    Raises:
        Problem: a document can't be written, or the step was asked to stop; what was measured is kept.
    """
    programs = Programs()
    source = (others or ForeignCpu()) if placement.gate_foreign_cpu else None
    gate = InterferenceGate(source, settings.foreign_cpu_limit_ratio, _remeasure_s(trials, settings), programs)
    mtu_bytes = _mtu_bytes(placement)
    with programs.stoppable():
        progress(0, len(trials))
        for index, trial in enumerate(trials):
            if programs.stopped.is_set():
                raise Problem(f"stopped after {index} of {len(trials)} trials of {placement.topology}; they are kept")
            speak = partial(
                _say, say, f"{trial.topology} {trial.variant.name} {trial.direction} {index + 1}/{len(trials)}"
            )
            path = directory / documents.trial_name(trial.trial)
            begun = TrialDocument(
                trial=trial,
                placement=placement,
                mtu_bytes=mtu_bytes,
                services=settings.services,
                attempts=(),
                error=BEGUN,
            )
            documents.write_document(path, begun)
            attempts, flags = _attempts(placement, trial, settings, programs, gate, speak)
            found = results.read_results(trial, attempts[-1])
            error = found.reason if isinstance(found, Failure) else None
            documents.write_document(
                path, begun.model_copy(update={"attempts": attempts, "flags": flags, "error": error})
            )
            speak(results.result_sentence(found))
            progress(index + 1, len(trials))
        if programs.stopped.is_set():
            raise Problem(f"stopped in the last trial of {placement.topology}; what was measured is kept")


def _say(say: Callable[[str], None], name: str, text: str) -> None:
    say(f"{name}: {text}")


def _attempts(
    placement: Placement,
    trial: Trial,
    settings: Settings,
    programs: Programs,
    gate: InterferenceGate,
    say: Callable[[str], None],
) -> tuple[tuple[Attempt, ...], tuple[str, ...]]:
    """The attempts at a trial, of which the last counts, and the flags on it."""
    tool = trial.program
    omit_s = tool.omit_s(settings.omit_s)
    argv = argv_of(placement, trial, settings)
    seconds, every_s = tool.lasts_s(trial.duration_s, omit_s), interval_s(trial.duration_s)
    limits = Limits(seconds + GRACE_S, bounds.output_bytes(seconds, trial.streams, every_s))
    attempts: list[Attempt] = []
    lost: dict[str, str] = {}
    while True:
        attempt, lost = _attempt(placement, tool, argv, limits, programs, gate.source, every_s)
        attempts.append(attempt.model_copy(update={"window_offset_s": float(omit_s)}))
        disturbed = gate.disturbed(attempt.foreign_cpu_ratio, attempt.wall_s or 0)
        again = disturbed and len(attempts) < documents.ATTEMPTS and not programs.stopped.is_set()
        if not again or not gate.spend(attempt.wall_s or 0):
            break
        say(f"others used {attempt.foreign_cpu_ratio or 0:.0%} of the CPU, measured again")
        gate.wait()
    flags = ["foreign-cpu"] if disturbed else []
    if gate.source is not None and attempt.foreign_cpu_ratio is None:
        flags.append("foreign-cpu-unknown")
    flags += [f"monitor-lost: {reason}" for reason in sorted(set(lost.values()))]
    return tuple(attempts), tuple(flags)


def _remeasure_s(trials: Sequence[Trial], settings: Settings) -> float:
    """How many seconds may go into measuring disturbed trials again: enough for the longest one, unless it is none."""
    lasting = [trial.program.lasts_s(trial.duration_s, settings.omit_s) for trial in trials]
    if not settings.remeasure_ratio or not lasting:
        return 0.0
    return max(settings.remeasure_ratio * sum(lasting), max(lasting) + 1)


def argv_of(placement: Placement, trial: Trial, settings: Settings) -> list[str]:
    """The argument vector of a trial's client, with what puts it in its place."""
    tool = trial.program
    task = msgspec.structs.replace(
        results.task(trial, tool.omit_s(settings.omit_s)),
        block_size_bytes=settings.block_size_bytes,
        congestion_control=settings.congestion_control,
    )
    return [*placement.prefix, *here(tool.command(task, placement.address, placement.ports[tool.name]))]


def _attempt(
    placement: Placement,
    tool: Tool,
    argv: Sequence[str],
    limits: Limits,
    programs: Programs,
    others: ForeignCpu | None,
    every_s: float,
) -> tuple[Attempt, dict[str, str]]:
    """One run of the program with all that is read around it, and why monitors were lost."""
    patience = time.monotonic() + _BUSY_WAIT_S
    while True:
        started_at = datetime.now(UTC)
        nat = [_nat(placement)]
        sampler = Sampler(placement.monitors, every_s)
        before = others.read() if others is not None else None
        with sampler:
            began = time.monotonic()
            finished = programs.run(argv, limits.timeout_s, limits.output_bytes)
            wall_s = time.monotonic() - began
        after = others.read() if others is not None else None
        nat.append(_nat(placement))
        if not tool.is_busy(finished.stdout) or time.monotonic() > patience or programs.stopped.is_set():
            break
        programs.stopped.wait(_BUSY_STEP_S)
    attempt = Attempt(
        started_at=started_at,
        argv=tuple(argv),
        stdout=finished.stdout.decode(errors="backslashreplace"),
        stderr=finished.stderr.decode(errors="backslashreplace"),
        exit_code=finished.exit_code,
        wall_s=wall_s,
        readings=sampler.readings,
        nat=tuple(reading for reading in nat if reading is not None),
        foreign_cpu_ratio=interference.foreign_ratio(before, after),
        error=finished.error,
    )
    return attempt, sampler.lost


def _nat(placement: Placement) -> Counters | None:
    if placement.nat_monitor is None:
        return None
    try:
        return read(placement.nat_monitor.source, placement.nat_monitor.node)
    except Problem:
        return None


def _mtu_bytes(placement: Placement) -> int | None:
    """The MTU of the client's interface; None where it is not named or can't be read."""
    if placement.interface is None:
        return None
    if not placement.prefix:
        found = psutil.net_if_stats().get(placement.interface)
        return found.mtu if found is not None else None
    command = [*placement.prefix, "ip", "-json", "link", "show", "dev", placement.interface]
    try:
        shown = subprocess.run(command, capture_output=True, timeout=5, check=True).stdout
        return int(json.loads(shown)[0]["mtu"])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return None


def canary(
    placement: Placement,
    settings: Settings,
    moment: Moment,
    directory: Path,
    say: Callable[[str], None],
    *,
    others: ForeignCpu | None = None,
) -> None:
    """Send from node to node for `iperf3.CANARY_S`; before the first trial, first look at the nodes while idle.

    Args:
        placement: of the control topology.
        settings: of the run.
        moment: before the visit's first trial, or after its last.
        directory: gets `raw.CANARY`.
        say: called with one line.
        others: what tells how much CPU others use; the machine's own by default.

    Raises:
        Problem: the document can't be written, or the step was asked to stop.
    """
    programs = Programs()
    source = (others or ForeignCpu()) if placement.gate_foreign_cpu else None
    argv = [
        *placement.prefix,
        *iperf3.canary_command(settings.congestion_control, placement.address, placement.ports[CANARY.name]),
    ]
    idle: dict[str, tuple[Counters, ...]] = {}
    ratio = None
    lost: dict[str, str] = {}
    with programs.stoppable():
        if moment == "before" and settings.idle_s > 0:
            idle, ratio, lost = _idle(placement.monitors, settings.idle_s, programs, source)
        every_s = interval_s(iperf3.CANARY_S)
        limits = Limits(CANARY_TIMEOUT_S, bounds.output_bytes(iperf3.CANARY_S, 1, every_s))
        attempt, lost_too = _attempt(placement, CANARY, argv, limits, programs, source, every_s)
        found = results.read_canary(attempt)
        documents.write_document(
            directory / documents.CANARY,
            CanaryDocument(
                moment=moment,
                attempt=attempt,
                idle=idle,
                idle_foreign_cpu_ratio=ratio,
                flags=tuple(f"monitor-lost: {reason}" for reason in sorted({*lost.values(), *lost_too.values()})),
                error=found.reason if isinstance(found, Failure) else None,
            ),
        )
        say(f"canary {moment}: {results.result_sentence(found)}")
        if programs.stopped.is_set():
            raise Problem(f"stopped in the canary {moment} the trials")


def _idle(
    monitors: Sequence[Monitor], seconds: float, programs: Programs, others: ForeignCpu | None
) -> tuple[dict[str, tuple[Counters, ...]], float | None, dict[str, str]]:
    sampler = Sampler(monitors, seconds + 1)
    before = others.read() if others is not None else None
    with sampler:
        programs.stopped.wait(seconds)
    return (
        sampler.readings,
        interference.foreign_ratio(before, others.read() if others is not None else None),
        sampler.lost,
    )
