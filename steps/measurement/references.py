"""The references of the host network: short tests from node to node, beside the trials of a visit in time.

The first and the last of them are the visit's canaries.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.catalogue.tools import CANARY
from steps.domain import Placement
from steps.measurement import results
from steps.measurement.attempts import MeasuringClient, lost_monitor_flags
from steps.measurement.monitors.interference import InterferenceGate
from steps.measurement.monitors.sampler import Sampler
from steps.measurement.trials import GRACE_S, QUIET_S
from steps.measurement.turns.turn_taker import TurnTaker
from steps.settings import turn_order
from steps.tools import bounds
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tool import interval_s

_TIMEOUT_S: Final = iperf3.CANARY_S + GRACE_S


def measure_references(
    placement: Placement,
    positions: Sequence[int],
    settings: Settings,
    directory: Path,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
    turns: TurnTaker | None = None,
) -> None:
    """Measure the references, each in its turn, and before the first one read the idle nodes.

    `positions`: of the trials before which they are measured; the last one is after all trials. `directory`: gets
    `documents.trial_name(...)` for each position. `report`: called with one line for each. `progress`: progress
    callback: (done, total). `turns`: of this step; None: it measures alone.

    Raises:
        Problem: a document can't be written, the server of turns is gone, or the step was stopped.
    """
    turns = turns or TurnTaker.alone()
    client = MeasuringClient.of(placement, turns.programs)
    budget_s = max(QUIET_S, len(positions) * iperf3.CANARY_S) * settings.remeasure_ratio
    gate = InterferenceGate(client.others, settings.foreign_cpu_limit_ratio, budget_s, client.programs)
    with client.programs.stoppable():
        for index, position in enumerate(positions):
            idle_s = settings.idle_s if index == 0 else 0.0
            lease_s = turn_order.lease_s(iperf3.CANARY_S) + idle_s
            turn = turns.take(turn_order.reference_number(position), lease_s)
            if turn is not None:
                begun = documents.CanaryDocument(
                    moment="before" if index == 0 else "after" if index == len(positions) - 1 else "between",
                    turn=turn.count,
                )
                document, found = _measure(client, begun, settings, gate, idle_s)
                documents.write_document(directory / documents.trial_name(position), document)
                report(f"host network {index + 1}/{len(positions)}: {results.result_sentence(found)}")
            progress(index + 1, len(positions))
            if client.programs.stopped.is_set():
                raise Problem(f"stopped in reference {index + 1} of {len(positions)} of the host network")
        turns.leave()


def _measure(
    client: MeasuringClient, begun: documents.CanaryDocument, settings: Settings, gate: InterferenceGate, idle_s: float
) -> tuple[documents.CanaryDocument, IperfReport | Failure]:
    command = iperf3.canary_command(
        settings.congestion_control, client.placement.address, client.placement.port(CANARY.name)
    )
    every_s = interval_s(iperf3.CANARY_S)
    output_bytes = bounds.output_bytes(iperf3.CANARY_S, 1, every_s)
    waited_s = gate.wait(QUIET_S) if client.nodes is not None else None
    idle = Sampler(client.placement.monitors, settings.idle_s + 1, client.foreign)
    if idle_s > 0:
        with idle:
            client.programs.stopped.wait(idle_s)
    attempt, lost = client.attempt(CANARY, command, every_s, timeout_s=_TIMEOUT_S, output_bytes=output_bytes)
    others = client.others_ratio(CANARY, iperf3.canary_task(attempt.argv), attempt)
    attempt = attempt.model_copy(update={"foreign_cpu_ratio": others, "quiet_wait_s": waited_s})
    found = results.read_canary(attempt)
    disturbed = ("foreign-cpu",) if gate.disturbed(others, attempt.wall_s or 0) else ()
    document = begun.model_copy(
        update={
            "attempt": attempt,
            "idle": {node: readings for node, readings in idle.readings.items() if readings},
            "idle_foreign_cpu_ratio": idle.foreign_cpu_ratio,
            "flags": (*disturbed, *lost_monitor_flags(idle.lost, lost)),
            "error": found.reason if isinstance(found, Failure) else None,
        }
    )
    return document, found
