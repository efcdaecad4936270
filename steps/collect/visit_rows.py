"""From the documents of one visit to its row of `visits`. Pure."""

from steps import documents
from steps.catalogue.topologies import NODE_TO_NODE
from steps.collect.visit_record import VisitRecord
from steps.measurement.monitors import monitor


def visit_row(record: VisitRecord) -> dict[str, object]:
    """The row of `visits`, without run_id."""
    configure, settle, found = record.configure, record.settle, record.proof
    evidence = [s for e in (settle, record.clear) if e is not None for s in e.signs]
    return {
        "visit": record.visit.visit,
        "round": record.visit.round,
        "dataplane_requested": record.visit.dataplane,
        "dataplane_observed": found.observed,
        "proof": found.state,
        "proof_reason": found.reason,
        "evidence": [*(sign.model_dump() for sign in evidence), *_scale_signs(record)],
        "changes": [change.command for change in configure.changes] if configure is not None else None,
        "started_at": configure.started_at if configure is not None else None,
        "switch_s": configure.switch_s if configure is not None else None,
        "settle_s": _settle_s(configure, settle),
        **_cost(settle, record.clear),
        "idle_nodes": _idle_nodes(record),
        "canary_before_bps": record.canary_bps("before"),
        "canary_after_bps": record.canary_bps("after"),
        "error": record.error,
    }


def _scale_signs(record: VisitRecord) -> list[dict[str, object]]:
    """What was counted of each scale, as signs that indicate no dataplane."""
    return [
        {"moment": change.scale.words, "indicates": None, **sign.model_dump(exclude={"factor", "holds"})}
        for change in record.scale_changes
        for sign in change.signs
    ]


def _settle_s(configure: documents.Configure | None, settle: documents.Evidence | None) -> float | None:
    """From the last change until the proof, including the start of the step that observes."""
    if settle is None or settle.proven_at is None or configure is None or configure.switch_s is None:
        return settle.settle_s if settle is not None else None
    since_last_change_s = (settle.proven_at - configure.started_at).total_seconds() - configure.switch_s
    # A value below the step's own means that the clock was set back between the two steps.
    return since_last_change_s if since_last_change_s >= (settle.settle_s or 0.0) else settle.settle_s


def _cost(settle: documents.Evidence | None, clear: documents.Evidence | None) -> dict[str, object]:
    """The columns of what the switch cost: in the end, else until the proof.

    Older documents only have the dropped connections.
    """
    cost = next((found.cost for found in (clear, settle) if found is not None and found.cost is not None), None)
    if cost is None:
        return {"connections_dropped": settle.connections_dropped if settle is not None else None}
    return {
        "connections_held": cost.connections,
        "connections_dropped": cost.dropped,
        "new_connections_failed": cost.new_failed,
        "tcp_longest_gap_s": cost.tcp_longest_gap_s,
        "udp_longest_gap_s": cost.udp_longest_gap_s,
        "udp_probe_sent_packets": cost.udp_sent_packets,
        "udp_probe_lost_packets": cost.udp_lost_packets,
    }


def _idle_nodes(record: VisitRecord) -> list[dict[str, object]] | None:
    canary = record.canary("before")
    if canary is None or not canary.idle:
        return None
    placements = record.prepare.placements if record.prepare is not None else ()
    sides = {m.node: m.side for p in placements if p.topology == NODE_TO_NODE for m in p.monitors}
    return [
        {**monitor.usage(readings[0], readings[-1], sides.get(node), None), "node": node}
        for node, readings in canary.idle.items()
        if readings
    ]
