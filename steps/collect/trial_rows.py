"""From a trial's document to its row of `trials` and its rows of `samples`. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from analysis.flags import is_voided
from steps.collect import Row
from steps.collect.visit_record import VisitRecord
from steps.counters import Counters
from steps.documents import Attempt, TrialDocument
from steps.domain import Trial
from steps.measurement import results
from steps.measurement.monitors import monitor
from steps.proof import return_path
from steps.tools.failure import Failure
from steps.tools.tool import Result

_UDP_HEADERS_BYTES: Final = 28
_BITS: Final = 8
_GIGA: Final = 1e9
_CLOCK_SLACK_S: Final = 0.05


def trial_row(
    trial: Trial,
    document: TrialDocument | None,
    fault: str | None,
    record: VisitRecord,
    doubted: str | None = None,
) -> Row:
    """The row of `trials`, without run_id.

    It has figures only where the trial was measured, the dataplane was proven at both moments, and the return path of
    the trial's bytes does not contradict it. A figure that contradicts it is kept. `fault`: why an existing document
    can't be used. `doubted`: why other trials of the same path in this visit contradict the dataplane.
    """
    row: Row = trial.model_dump(exclude={"duration_s", "scale"}) | trial.scale.columns
    if document is None:
        return {**row, **_unmeasured(fault, record)}
    attempt = document.attempts[-1] if document.attempts else None
    row |= {
        "started_at": attempt.started_at if attempt is not None else None,
        "attempts": len(document.attempts),
        "quiet_wait_s": attempt.quiet_wait_s if attempt is not None else None,
        "foreign_cpu_ratio": attempt.foreign_cpu_ratio if attempt is not None else None,
        "mtu_bytes": document.mtu_bytes,
        "server_mtu_bytes": _server_mtu_bytes(document, attempt),
        "flags": list(document.flags),
    }
    if attempt is None:
        return {**row, "outcome": "failed", "error": document.error or "it was never attempted"}
    found = results.read_results(trial, attempt)
    if isinstance(found, Failure):
        return {**row, "outcome": "failed", "error": found.reason}
    if reason := record.unproven(trial):
        return {**row, "outcome": "failed", "error": reason}
    dataplane = record.visit.dataplane
    if reason := return_path.return_path_contradiction(trial, dataplane, document, attempt) or doubted:
        error = f"the dataplane was proven by configuration and log, but {reason}"
        # the one figure that is kept, since it is the reason
        share = _nat_share(document, attempt, found)
        return {**row, "outcome": "failed", "error": error, "nat_bytes_per_payload_byte": share}
    row["flags"] = [*document.flags, *_doubts(document, attempt, found, record)]
    baseline = record.baseline_ratio(attempt.foreign_cpu_ratio)
    row["nodes"] = _nodes(document, attempt, baseline)
    row |= found.columns
    row |= {
        "duration_s": found.duration_s,
        "host_network_bps": record.host_network_bps(document.turn, document.flags),
        "cpu_s_per_gbit": _cpu_s_per_gbit(document, attempt, found, baseline),
        "nat_bytes_per_payload_byte": _nat_share(document, attempt, found),
    }
    return {**row, "outcome": "measured", "error": None}


def _server_mtu_bytes(document: TrialDocument, attempt: Attempt | None) -> int | None:
    place = document.placement
    if place.server_mtu_bytes is not None or place.server_interface is None or attempt is None:
        return place.server_mtu_bytes
    ends = [m.node for m in place.monitors if m.side in {"server", "both"}]
    seen = [
        reading.interfaces.get(place.server_interface) for node in ends for reading in attempt.readings.get(node, ())
    ]
    return next((traffic.mtu_bytes for traffic in seen if traffic is not None), None)


def _unmeasured(fault: str | None, record: VisitRecord) -> Row:
    if fault is not None:
        return {"outcome": "failed", "error": fault}
    if record.blocked is not None:
        return {"outcome": "failed", "error": record.blocked}
    if record.went_on:
        return {"outcome": "failed", "error": "its measuring step ended before it, or never started"}
    return {"outcome": "not-run", "error": record.doubt or "the run ended before it"}


def _doubts(document: TrialDocument, attempt: Attempt, found: Result, record: VisitRecord) -> list[str]:
    flags = {
        flag for readings in attempt.readings.values() for flag in monitor.window_flags(*_window(attempt, readings))
    }
    flags |= {"cpu-idle"} if any(is_voided([flag], "cpu") for flag in record.idle_doubts) else set()
    flags |= set(found.flags)
    flags |= {"not-through-the-node-port"} if return_path.bypassed(document.trial, document, attempt) else set()
    if document.trial.transport == "udp":
        flags |= {"cpu-udp"}
        block = found.columns.get("block_size_bytes")
        if document.mtu_bytes is not None and isinstance(block, int):
            flags |= {"udp-fragments"} if block + _UDP_HEADERS_BYTES > document.mtu_bytes else set()
    return sorted(flags)


def _window(attempt: Attempt, readings: Sequence[Counters]) -> tuple[Counters, Counters]:
    """The readings that enclose the measured part: the first after the warm-up, and the last."""
    begins = readings[0].at_s + attempt.window_offset_s - _CLOCK_SLACK_S
    first = next((reading for reading in readings if reading.at_s >= begins), readings[0])
    return first, readings[-1]


def _nodes(document: TrialDocument, attempt: Attempt, baseline: dict[str, float]) -> list[Row]:
    return [
        monitor.usage(*_window(attempt, attempt.readings[m.node]), m.side, baseline.get(m.node))
        for m in document.placement.monitors
        if attempt.readings.get(m.node)
    ]


def _cpu_s_per_gbit(
    document: TrialDocument, attempt: Attempt, found: Result, baseline: dict[str, float]
) -> float | None:
    """CPU-seconds above idle of all nodes per Gbit; None where a node or its baseline is missing.

    Nodes that are containers of one machine, as of kind, all have the counters of that machine, which count once.
    """
    gbit = (results.payload_bps(found) or 0.0) * found.duration_s / _GIGA
    by_machine: dict[str, float] = {}
    for node in document.placement.monitors:
        readings = attempt.readings.get(node.node)
        if not readings or node.node not in baseline:
            return None
        before, after = _window(attempt, readings)
        busy = monitor.busy_ratio(before, after)
        if busy is None:
            return None
        above_idle_s = (busy - baseline[node.node]) * (after.at_s - before.at_s) * len(after.cores)
        by_machine.setdefault(after.counted_at, above_idle_s)
    return sum(by_machine.values()) / gbit if by_machine and gbit > 0 else None


def _nat_share(document: TrialDocument, attempt: Attempt, found: Result) -> float | None:
    """Bytes sent by the NodePort's node per byte received; None where the path has no such node."""
    name, bps = document.placement.nat_interface, results.payload_bps(found)
    if name is None or bps is None or len(attempt.nat) != 2:  # noqa: PLR2004 - before and after
        return None
    before, after = (reading.interfaces.get(name) for reading in attempt.nat)
    if before is None or after is None or after.sent_bytes < before.sent_bytes:
        return None
    # The interface also counted the warm-up, which is assumed to have had the same rate.
    counted = found.duration_s / (found.duration_s + attempt.window_offset_s)
    payload_bytes = bps * found.duration_s / _BITS
    return (after.sent_bytes - before.sent_bytes) * counted / payload_bytes


def sample_rows(document: TrialDocument) -> Iterator[Row]:
    """The rows of `samples` of a measured trial, without run_id: its tool's intervals, then each monitor's."""
    attempt = document.attempts[-1]
    found = results.read_results(document.trial, attempt)
    if not isinstance(found, Failure):
        for sample in found.samples:
            yield {"trial": document.trial.trial, "source": document.trial.tool, **sample}
    for node, readings in attempt.readings.items():
        for before, after in pairwise(readings):
            # no interval where the clock went backwards
            if readings[0].at_s <= before.at_s < after.at_s:
                yield _monitor_sample(document, attempt, node, readings[0].at_s, before, after)


def _monitor_sample(
    document: TrialDocument, attempt: Attempt, node: str, began_s: float, before: Counters, after: Counters
) -> Row:
    usage = monitor.usage(before, after, None, None)
    return {
        "trial": document.trial.trial,
        "side": node,
        "source": "monitor",
        "offset_s": before.at_s - began_s,
        "duration_s": after.at_s - before.at_s,
        "omitted": before.at_s - began_s < attempt.window_offset_s - _CLOCK_SLACK_S,
        **{name: usage[name] for name in ("busy_ratio", "softirq_ratio", "steal_ratio", "memory_used_bytes")},
    }
