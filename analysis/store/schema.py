"""The four tables: their columns, types, units and version.

A new column takes one entry here: the store writes it, the views show it, a missing value is null.
"""

import functools
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 2
"""Raised whenever a column changes its meaning or goes; a new nullable column does not raise it."""

TIMESTAMP: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    The unit is "1" for numbers without one, such as counts and ratios; empty for what is no number.
    """

    name: str
    type: pa.DataType
    unit: str = ""
    description: str = ""


def _field(name: str, kind: pa.DataType, unit: str = "", description: str = "") -> pa.Field:
    return pa.field(name, kind, metadata={"unit": unit, "description": description})


def _node_usage() -> pa.DataType:
    """CPU and memory of one node over a window; ratios are of all its cores together, 0 to 1."""
    modes = ("user", "nice", "system", "iowait", "irq", "softirq", "steal", "idle")
    return pa.struct(
        [
            _field("node", pa.string()),
            _field("side", pa.string(), "", "client, server, both (one node carries both ends), nat"),
            _field("cores", pa.int32(), "1"),
            *(_field(f"{mode}_ratio", pa.float64(), "1", "of all cores") for mode in modes),
            _field("busy_ratio", pa.float64(), "1", "1 - (idle + iowait) / wall"),
            _field("busy_above_idle_ratio", pa.float64(), "1", "less the visit's idle baseline, and others' CPU use"),
            _field("softirq_by_core_ratio", pa.list_(pa.float64()), "1", "of each core"),
            _field("steal_by_core_ratio", pa.list_(pa.float64()), "1", "of each core"),
            _field("memory_used_bytes", pa.int64(), "B"),
        ]
    )


NODE_USAGE: Final = _node_usage()

SIGN: Final = pa.struct(
    [
        _field("moment", pa.string(), "", "before or after the trials; or a scale, as typed, whose size was counted"),
        _field("node", pa.string()),
        _field("looked_at", pa.string()),
        _field("seen", pa.string()),
        _field("at", TIMESTAMP),
        _field("indicates", pa.list_(pa.string()), "", "dataplanes with which it agrees; null: it indicates none"),
    ]
)

UID: Final = "workflow_uid"
"""The column that distinguishes a run that is written again from another one of the same name."""

VERDICT: Final = "verdict"
"""The column that has the result of a run's analysis: much the largest of a row of `runs`."""

_RUN = Column("run_id", pa.string(), "", "the workflow's name and uid; unique in a store")
_VISIT = Column("visit", pa.int32(), "1", "one stay in a dataplane, counted from 1 within the run")
_TRIAL = Column("trial", pa.int32(), "1", "one measurement, counted from 1 within the run, in the planned order")

RUNS: Final = (
    _RUN,
    Column("started_at", TIMESTAMP, "", "when the run was validated"),
    Column("finished_at", TIMESTAMP, "", "when its rows were last collected"),
    Column("environment", pa.string(), "", "lab, a cluster's name, or imported:NAME; environments are never compared"),
    Column("trigger", pa.string(), "", "local, nightly, submitted or imported"),
    Column("seed", pa.int64(), "1", "of the random order"),
    Column("parameters", pa.string(), "JSON", "the settings in force, and the dataplanes with title and colour"),
    Column("provenance", pa.string(), "JSON", "kernel, CPU, versions, MTU, offloads and the like"),
    Column("schema_version", pa.int32(), "1", "of the rows of this run"),
    Column(VERDICT, pa.string(), "JSON", "the result of the run's analysis; null before it"),
    Column(UID, pa.string(), "", "of the workflow that measured it; null in runs of before it was kept"),
)

VISITS: Final = (
    _RUN,
    _VISIT,
    Column("round", pa.int32(), "1", "the block: each round visits every dataplane once, in random order"),
    Column("dataplane_requested", pa.string(), "", "the dataplane of the plan, with its +label if it has one"),
    Column("dataplane_observed", pa.string(), "", "what carried the traffic, by the evidence; null if that is unclear"),
    Column("proof", pa.string(), "", "proven, disproven or unproven; null: imported, never looked at"),
    Column("proof_reason", pa.string(), "", "why it is not proven; null if it is"),
    Column("evidence", pa.list_(SIGN), "", "the signs, before the first trial and after the last, and of each scale"),
    Column("changes", pa.list_(pa.string()), "", "what configure did, as commands"),
    Column("started_at", TIMESTAMP, "", "when the switch began"),
    Column("switch_s", pa.float64(), "s", "from the first change until the last was made"),
    Column("settle_s", pa.float64(), "s", "from the last change until the proof"),
    Column("connections_held", pa.int32(), "1", "long-lived TCP connections that were open when the switch began"),
    Column("connections_dropped", pa.int32(), "1", "those of them that died in the switch"),
    Column("new_connections_failed", pa.int64(), "1", "new TCP connections to Services that failed in it"),
    Column("tcp_longest_gap_s", pa.float64(), "s", "longest silence of any of them in the switch"),
    Column("udp_longest_gap_s", pa.float64(), "s", "longest time without an answer to ten datagrams a second"),
    Column("udp_probe_sent_packets", pa.int64(), "1", "datagrams sent across the switch, ten a second on each path"),
    Column("udp_probe_lost_packets", pa.int64(), "1", "those of them that were never answered"),
    Column("idle_nodes", pa.list_(NODE_USAGE), "", "CPU and memory with nothing sent"),
    Column("canary_before_bps", pa.float64(), "bit/s", "node to node before the first trial"),
    Column("canary_after_bps", pa.float64(), "bit/s", "node to node after the last trial"),
    Column("error", pa.string(), "", "why the visit failed; null if it did not"),
)

TRIALS: Final = (
    _RUN,
    _VISIT,
    _TRIAL,
    Column("position", pa.int32(), "1", "of the trial within its visit, from 1, in the order measured"),
    Column("topology", pa.string(), "", "which ends talk over which path"),
    Column("tool", pa.string(), "", "the program that measured it, such as iperf3 or tcp_connect"),
    Column("transport", pa.string(), "", "what carried its traffic: tcp or udp"),
    Column("direction", pa.string(), "", "forward: client to server; reverse: server to client"),
    Column("streams", pa.int32(), "1", "parallel streams"),
    Column("offered_bps", pa.float64(), "bit/s", "the target rate of all streams together; null: unlimited"),
    Column("repetition", pa.int32(), "1", "within the visit, from 1"),
    Column("started_at", TIMESTAMP, "", "by the client's clock"),
    Column("duration_s", pa.float64(), "s", "measured, omitted seconds left out"),
    Column("outcome", pa.string(), "", "measured, failed, or not-run (the run ended before it)"),
    Column("error", pa.string(), "", "a sentence; null if measured"),
    Column("sent_bps", pa.float64(), "bit/s", "payload handed to the network by the sender"),
    Column("received_bps", pa.float64(), "bit/s", "payload that reached the receiver: the throughput"),
    Column("lost_packets", pa.int64(), "1", "UDP"),
    Column("total_packets", pa.int64(), "1", "UDP"),
    Column("jitter_s", pa.float64(), "s", "UDP, RFC 3550"),
    Column("retransmits", pa.int64(), "1", "TCP segments sent again"),
    Column("rtt_s", pa.float64(), "s", "TCP, mean of the sender's smoothed round-trip time"),
    Column("block_size_bytes", pa.int64(), "B", "of one write, or one UDP datagram"),
    Column("congestion_control", pa.string(), "", "TCP, the sender's"),
    Column("mtu_bytes", pa.int32(), "B", "of the client's interface on this path"),
    Column("server_mtu_bytes", pa.int32(), "B", "of the server's interface on this path"),
    Column("connects_per_s", pa.float64(), "1/s", "TCP connections opened one after another"),
    Column("connect_p50_s", pa.float64(), "s", "median time of connect()"),
    Column("connect_p99_s", pa.float64(), "s", "99th percentile of connect()"),
    Column("services", pa.int32(), "1", "unused Services in the rule set or map"),
    Column("nodes", pa.list_(NODE_USAGE), "", "CPU and memory of the measured nodes in the trial's window"),
    Column("cpu_s_per_gbit", pa.float64(), "s/Gbit", "CPU-seconds above idle of all nodes per Gbit received"),
    Column("nat_bytes_per_payload_byte", pa.float64(), "1", "sent by the NodePort's node per byte received"),
    Column("host_network_bps", pa.float64(), "bit/s", "node to node by TCP, before and after it, mean; null: unknown"),
    Column("quiet_wait_s", pa.float64(), "s", "waited before it for quiet nodes; null: they were not looked at"),
    Column("foreign_cpu_ratio", pa.float64(), "1", "CPU used by others on the busiest node, of all its cores"),
    Column("attempts", pa.int32(), "1", "how often it was measured; the last attempt counts"),
    Column("flags", pa.list_(pa.string()), "", "reasons for doubt, explained in analysis/flags.py"),
    Column("connect_p999_s", pa.float64(), "s", "99.9th percentile of connect()"),
    Column("response_p50_s", pa.float64(), "s", "median time from a request until its response"),
    Column("response_p90_s", pa.float64(), "s", "90th percentile of it"),
    Column("response_p99_s", pa.float64(), "s", "99th percentile of it"),
    Column("response_p999_s", pa.float64(), "s", "99.9th percentile of it; null below 1,000 responses"),
    Column("response_worst_s", pa.float64(), "s", "the slowest response; null where a request was never answered"),
    Column("transactions_per_s", pa.float64(), "1/s", "requests answered, one after another"),
    Column("responses", pa.int64(), "1", "how many responses the percentiles rest on"),
    Column("lost_messages", pa.int64(), "1", "requests without a response"),
    Column("duplicate_messages", pa.int64(), "1", "responses that came twice"),
    Column("load_bps", pa.float64(), "bit/s", "payload of the load that arrived meanwhile; null: there was none"),
    Column("load_ratio", pa.float64(), "1", "of what iperf3 measured on the path just before, without a limit"),
    Column("forward_bps", pa.float64(), "bit/s", "payload that reached the server, while as much as could came back"),
    Column("reverse_bps", pa.float64(), "bit/s", "payload that reached the client, while as much as could went there"),
    Column("bounded_loss_bps", pa.float64(), "bit/s", "payload that arrived at the highest rate within the loss bound"),
    Column("bounded_loss_packets_per_s", pa.float64(), "1/s", "datagrams that arrived at that rate"),
    Column("bounded_loss_ratio", pa.float64(), "1", "datagrams lost at that rate, of those sent"),
    Column("most_sent_bps", pa.float64(), "bit/s", "the highest rate that the ladder's sender reached"),
    Column("endpoints", pa.int32(), "1", "of each unused Service; null in rows from before it was varied: 1"),
    Column("policies", pa.int32(), "1", "NetworkPolicies on the measured pods that match nothing; null likewise: 0"),
    Column("churn_per_s", pa.float64(), "1/s", "endpoints of unused Services changed meanwhile; null likewise: 0"),
    Column("update_p50_s", pa.float64(), "s", "lab: median time of the dataplane's own update by one Service"),
    Column("update_p99_s", pa.float64(), "s", "99th percentile of it; null below 100 updates"),
    Column("update_worst_s", pa.float64(), "s", "the slowest update; null where one failed"),
    Column("updates", pa.int64(), "1", "how many updates the percentiles rest on"),
    Column("updates_failed", pa.int64(), "1", "updates that failed"),
    Column("programming_p50_s", pa.float64(), "s", "median time from the API server's acceptance until it worked"),
    Column("programming_p99_s", pa.float64(), "s", "99th percentile of it; null below 100 observations"),
    Column("programming_worst_s", pa.float64(), "s", "the latest; null where one never came"),
    Column("programming_observed", pa.int64(), "1", "how many changes the percentiles rest on, of all nodes"),
    Column("programming_failed", pa.int64(), "1", "changes that were accepted and never worked"),
    Column("programming_s", pa.list_(pa.float64()), "s", "each time until a change worked, on all nodes"),
    Column("api_read_p50_s", pa.float64(), "s", "median time of the API server's answers to a small read meanwhile"),
    Column("api_read_worst_s", pa.float64(), "s", "the slowest of them"),
    Column(
        "felix_memory_bytes", pa.int64(), "B", "of Felix, on the measured node with more; null: its metrics are off"
    ),
    Column("kube_proxy_memory_bytes", pa.int64(), "B", "likewise of kube-proxy; null where none runs"),
    Column("felix_cpu_ratio", pa.float64(), "1", "CPUs that Felix used while changes were timed"),
    Column("kube_proxy_cpu_ratio", pa.float64(), "1", "likewise kube-proxy"),
    Column(
        "kernel_memory_bytes",
        pa.int64(),
        "B",
        "slabs, virtual areas and per-CPU memory of a node's kernel; lab: half of what a dataplane adds to them",
    ),
    Column("clock_skew_s", pa.float64(), "s", "the most by which clocks of the nodes and the API server may differ"),
    Column("imported_from", pa.string(), "", "the file of another tool that it was read from; null: measured here"),
)

SAMPLES: Final = (
    _RUN,
    _TRIAL,
    Column("side", pa.string(), "", "sender, receiver, or a node's name"),
    Column("source", pa.string(), "", "iperf3 or monitor"),
    Column("offset_s", pa.float64(), "s", "start of the interval, from the start of the trial"),
    Column("duration_s", pa.float64(), "s", "of the interval"),
    Column("omitted", pa.bool_(), "", "warm-up, left out of the trial's figures"),
    Column("bps", pa.float64(), "bit/s", "iperf3: payload"),
    Column("retransmits", pa.int64(), "1", "iperf3, TCP"),
    Column("rtt_s", pa.float64(), "s", "iperf3, TCP"),
    Column("cwnd_bytes", pa.int64(), "B", "iperf3, TCP congestion window"),
    Column("lost_packets", pa.int64(), "1", "iperf3, UDP"),
    Column("total_packets", pa.int64(), "1", "iperf3, UDP"),
    Column("busy_ratio", pa.float64(), "1", "monitor: 1 - (idle + iowait) / wall"),
    Column("softirq_ratio", pa.float64(), "1", "monitor"),
    Column("steal_ratio", pa.float64(), "1", "monitor"),
    Column("memory_used_bytes", pa.int64(), "B", "monitor"),
)

TABLES: Final[dict[str, tuple[Column, ...]]] = {"runs": RUNS, "visits": VISITS, "trials": TRIALS, "samples": SAMPLES}


@dataclass(frozen=True, slots=True)
class Replacement:
    """What a version changed in a table: the columns that it removed, and the names of those that replaced them."""

    table: str
    removed: tuple[Column, ...]
    added: frozenset[str]


REPLACED: Final = {
    2: Replacement("trials", (Column("protocol", pa.string()),), frozenset({"tool", "transport"})),
}
"""By the version that replaced them; `analysis.store.migrations` upgrades the rows of the version before."""

FIRST_VERSION: Final = min(REPLACED) - 1


def is_known(version: int) -> bool:
    """Whether this program knows the columns of a schema version."""
    return FIRST_VERSION <= version <= SCHEMA_VERSION


def columns(table: str, version: int = SCHEMA_VERSION) -> tuple[Column, ...]:
    """The columns of a table as a version has them; a newer nullable column belongs to all versions."""
    found = TABLES[table]
    for later in range(SCHEMA_VERSION, version, -1):
        if (change := REPLACED[later]).table == table:
            found = (*(c for c in found if c.name not in change.added), *change.removed)
    return found


@functools.cache
def arrow_schema(table: str, version: int = SCHEMA_VERSION) -> pa.Schema:
    """The Arrow schema of a table, with unit and description of each column and the version in its metadata."""
    fields = [_field(c.name, c.type, c.unit, c.description) for c in columns(table, version)]
    return pa.schema(fields, metadata={"table": table, "schema_version": str(version)})
