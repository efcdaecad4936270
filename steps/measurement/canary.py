"""The canary of a visit: a short test from node to node before the first trial and after the last."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.catalogue.tools import CANARY
from steps.domain import Moment, Placement
from steps.measurement import results
from steps.measurement.attempts import Client, lost_monitor_flags
from steps.measurement.interference import ForeignCpu
from steps.measurement.sampler import Sampler
from steps.measurement.subprocesses import Programs
from steps.measurement.trials import GRACE_S
from steps.tools import bounds, iperf3
from steps.tools.failure import Failure
from steps.tools.tool import interval_s

TIMEOUT_S: Final = iperf3.CANARY_S + 2 * GRACE_S


def measure_canary(
    placement: Placement, settings: Settings, moment: Moment, directory: Path, report: Callable[[str], None]
) -> None:
    """Send from node to node for `iperf3.CANARY_S`; before the first trial, read the idle nodes first.

    Raises:
        Problem: the document can't be written, or the step was stopped.
    """
    client = Client(placement, Programs(), ForeignCpu() if placement.gate_foreign_cpu else None)
    command = iperf3.canary_command(settings.congestion_control, placement.address, placement.port(CANARY.name))
    every_s = interval_s(iperf3.CANARY_S)
    output_bytes = bounds.output_bytes(iperf3.CANARY_S, 1, every_s)
    idle = Sampler(placement.monitors, settings.idle_s + 1, client.foreign)
    with client.programs.stoppable():
        if moment == "before" and settings.idle_s > 0:
            with idle:
                client.programs.stopped.wait(settings.idle_s)
        attempt, lost = client.attempt(CANARY, command, every_s, timeout_s=TIMEOUT_S, output_bytes=output_bytes)
        found = results.read_canary(attempt)
        documents.write_document(
            directory / documents.CANARY,
            documents.CanaryDocument(
                moment=moment,
                attempt=attempt,
                idle={node: readings for node, readings in idle.readings.items() if readings},
                idle_foreign_cpu_ratio=idle.foreign_cpu_ratio,
                flags=lost_monitor_flags(idle.lost, lost),
                error=found.reason if isinstance(found, Failure) else None,
            ),
        )
        report(f"canary {moment}: {results.result_sentence(found)}")
        if client.programs.stopped.is_set():
            raise Problem(f"stopped in the canary {moment} the trials")
