"""The metrics, one entry each. Views, tables, comparisons, charts, the terminal and JSON are derived from them.

A metric that needs a new column takes an entry in analysis/store/schema.py as well.
"""

from collections.abc import Iterator
from typing import Final

from analysis.metric import BarChart, ComparedMetric, Export, Metric, TableColumn

THROUGHPUT: Final = "received_bps"
"""The metric of a sentence or a chart line that names none."""

HOST_NETWORK_RATIO: Final = "host_network_ratio"
"""The metric that relates throughput to that of the host network in the same seconds."""


def _of_node(
    column: str, title: str, curve: str, what: str, table: TableColumn, needs: str = "programming_p50_s"
) -> ComparedMetric:
    """What a node's agents or its kernel use: every tool that times changes records it, and one of them counts."""
    is_memory = column.endswith("_bytes")
    uses = "holds" if is_memory else "needs"
    return ComparedMetric(
        name=column,
        title=title,
        unit="B" if is_memory else "1",
        kind="memory" if is_memory else "cpu",
        columns=(column,),
        trial=f"case when tool in ('service_added', 'rules_update') then {column} end",
        needs=needs,
        scale="ratio",
        better="lower",
        more=f"{uses} more {what}",
        less=f"{uses} less {what}",
        curve=curve,
        table=table,
    )


METRICS: Final = (
    ComparedMetric(
        name=THROUGHPUT,
        title="throughput",
        unit="bit/s",
        kind="throughput",
        columns=("received_bps",),
        visit="geometric_mean({value})",
        scale="ratio",
        better="higher",
        more="has more throughput",
        less="has less throughput",
        leads=True,
        curve="throughput goes",
        table=TableColumn("received", "Gbit/s", 10),
        chart=BarChart(
            name="throughput",
            title="Throughput",
            reading=(
                "Payload that arrived, mean over visits. The line is the 95 % interval of this mean alone: it says "
                "nothing of differences, which are taken inside rounds."
            ),
            empty="No trial of iperf3 was measured, so there is no throughput to show.",
            axis="throughput",
            place=20,
        ),
        export=Export("throughput", "throughput_bits_per_second", "TCP throughput of the last run, mean over visits."),
    ),
    ComparedMetric(
        name=HOST_NETWORK_RATIO,
        title="throughput relative to the host network",
        unit="1",
        kind="throughput",
        columns=("received_bps", "host_network_bps"),
        # the host network is no part of itself
        trial="case when topology <> 'node-to-node' then received_bps / nullif(host_network_bps, 0) end",
        visit="geometric_mean({value})",
        scale="ratio",
        better="higher",
        more="is faster relative to the host network",
        less="is slower relative to the host network",
        table=TableColumn("of the host network's", "", 15),
    ),
    ComparedMetric(
        name="cpu_s_per_gbit",
        title="CPU per Gbit",
        unit="s/Gbit",
        kind="cpu",
        columns=("cpu_s_per_gbit",),
        needs="received_bps",
        scale="ratio",
        better="lower",
        more="needs more CPU per Gbit",
        less="needs less CPU per Gbit",
        beside="CPU",
        curve="CPU per Gbit goes",
        table=TableColumn("CPU", "s/Gbit", 90),
        chart=BarChart(
            name="cpu_per_gbit",
            title="CPU per Gbit",
            reading="CPU-seconds of all measured nodes above idle, per Gbit received; less is better.",
            empty="No trial has both a throughput and a usable figure of its nodes' CPU, so there is no cost to show.",
            axis="CPU time",
            place=40,
        ),
        export=Export(
            "cost", "cpu_seconds_per_gigabit", "CPU of both nodes per Gbit of the last run, mean over visits."
        ),
    ),
    ComparedMetric(
        name="connect_p50_s",
        title="connect time, median",
        unit="s",
        kind="connect",
        columns=("connect_p50_s",),
        scale="ratio",
        better="lower",
        more="connects more slowly",
        less="connects faster",
        leads=True,
        curve="a new connection takes",
        table=TableColumn("connect p50", "µs", 60),
    ),
    ComparedMetric(
        name="connect_p99_s",
        title="connect time, 99th percentile",
        unit="s",
        kind="connect",
        columns=("connect_p99_s",),
        scale="ratio",
        better="lower",
        more="has a slower 99th percentile of connects",
        less="has a faster 99th percentile of connects",
        curve="the slowest hundredth of new connections takes at least",
        table=TableColumn("connect p99", "µs", 70),
    ),
    ComparedMetric(
        name="loss_ratio",
        title="UDP loss",
        unit="1",
        kind="loss",
        columns=("lost_packets", "total_packets"),
        trial="lost_packets / nullif(total_packets, 0)",
        visit=("sum(lost_packets) filter (total_packets > 0) / sum(total_packets) filter (lost_packets is not null)"),
        scale="points",
        better="lower",
        more="loses more",
        less="loses less",
        resolution=1e-3,
        in_lab=False,
        table=TableColumn("lost", "%", 30),
        chart=BarChart(
            name="udp_loss",
            title="UDP loss",
            reading=(
                "Datagrams lost, of those sent. Without a limit on the rate this measures how far the sender outran "
                "the path."
            ),
            empty="No UDP trial was measured, so there is no loss to show.",
            axis="datagrams lost",
            place=60,
        ),
    ),
    ComparedMetric(
        name="bounded_loss_bps",
        title="rate within the loss bound",
        unit="bit/s",
        kind="loss",
        columns=("bounded_loss_bps",),
        visit="geometric_mean({value})",
        scale="ratio",
        better="higher",
        more="delivers more within the loss bound",
        less="delivers less within the loss bound",
        leads=True,
        curve="the rate within the loss bound goes",
        # the search ends within 10 %
        resolution=0.03,
        table=TableColumn("within the loss bound", "Gbit/s", 120),
        chart=BarChart(
            name="bounded_loss",
            title="The rate that arrives",
            reading="Payload that arrived at the highest rate with loss within the bound, mean over visits.",
            empty="No ladder was measured, so there is no rate to show.",
            axis="rate within the loss bound",
            place=62,
        ),
    ),
    Metric(
        name="sent_bps",
        title="throughput sent",
        unit="bit/s",
        kind="throughput",
        columns=("sent_bps",),
        visit="geometric_mean({value})",
        table=TableColumn("sent", "Gbit/s", 20),
    ),
    Metric(name="jitter_s", title="UDP jitter", unit="s", kind="loss", columns=("jitter_s",)),
    Metric(
        name="retransmits",
        title="segments sent again",
        unit="1",
        kind="throughput",
        columns=("retransmits",),
        table=TableColumn("resent segments", "", 40),
    ),
    Metric(
        name="rtt_s",
        title="round trip",
        unit="s",
        kind="throughput",
        columns=("rtt_s",),
        table=TableColumn("round trip", "ms", 50),
    ),
    ComparedMetric(
        name="connects_per_s",
        title="connects per second",
        unit="1/s",
        kind="connect",
        columns=("connects_per_s",),
        scale="ratio",
        better="higher",
        more="opens more connections a second",
        less="opens fewer connections a second",
        table=TableColumn("connects", "1/s", 75),
    ),
    Metric(
        name="nat_bytes_per_payload_byte",
        title="bytes through the NodePort's node per payload byte",
        unit="1",
        kind="return_path",
        columns=("nat_bytes_per_payload_byte",),
        table=TableColumn("NAT bytes per byte", "", 100),
        chart=BarChart(
            name="return_path",
            title="The way back of a NodePort",
            reading=(
                "Bytes that the NodePort's node sent per byte of payload received: about 1 where answers pass through "
                "it, about 0 with direct server return."
            ),
            empty=(
                "No trial through a NodePort was measured with that node's byte counters, so the way back is not known."
            ),
            axis="bytes through the NodePort's node per payload byte",
            place=80,
        ),
    ),
    Metric(
        name="busy_ratio",
        title="CPU busy",
        unit="1",
        kind="cpu",
        columns=(),
        needs="nodes",
        trial="list_avg(list_transform(nodes, lambda n: n.busy_ratio))",
        table=TableColumn("CPU busy", "%", 80),
    ),
    ComparedMetric(
        name="response_p50_s",
        title="response time, median",
        unit="s",
        kind="response",
        columns=("response_p50_s",),
        scale="ratio",
        better="lower",
        more="responds more slowly",
        less="responds faster",
        leads=True,
        curve="a response takes",
        table=TableColumn("response p50", "µs", 110),
    ),
    ComparedMetric(
        name="response_p99_s",
        title="slow responses, 99th percentile",
        unit="s",
        kind="response",
        columns=("response_p99_s",),
        scale="ratio",
        better="lower",
        more="has slower slow responses",
        less="has faster slow responses",
        beside="p99",
        table=TableColumn("response p99", "µs", 112),
    ),
    ComparedMetric(
        name="response_p999_s",
        title="slowest responses, 99.9th percentile",
        unit="s",
        kind="tail",
        columns=("response_p999_s",),
        scale="ratio",
        better="lower",
        more="has slower slowest responses",
        less="has faster slowest responses",
        table=TableColumn("response p99.9", "µs", 113),
    ),
    ComparedMetric(
        name="connect_p999_s",
        title="connect time, 99.9th percentile",
        unit="s",
        kind="tail",
        columns=("connect_p999_s",),
        scale="ratio",
        better="lower",
        more="has a slower 99.9th percentile of connects",
        less="has a faster 99.9th percentile of connects",
        table=TableColumn("connect p99.9", "µs", 72),
    ),
    Metric(
        name="response_p90_s",
        title="response time, 90th percentile",
        unit="s",
        kind="response",
        columns=("response_p90_s",),
        table=TableColumn("response p90", "µs", 111),
    ),
    Metric(
        name="response_worst_s",
        title="slowest response",
        unit="s",
        kind="tail",
        columns=("response_worst_s",),
        visit="max({value})",
        table=TableColumn("slowest", "ms", 114),
    ),
    Metric(
        name="transactions_per_s",
        title="transactions per second",
        unit="1/s",
        kind="response",
        columns=("transactions_per_s",),
        table=TableColumn("transactions", "1/s", 115),
    ),
    Metric(
        name="load_ratio",
        title="load that arrived",
        unit="1",
        kind="response",
        columns=("load_ratio",),
        table=TableColumn("load", "%", 116),
    ),
    Metric(
        name="bounded_loss_packets_per_s",
        title="datagrams a second within the loss bound",
        unit="1/s",
        kind="loss",
        columns=("bounded_loss_packets_per_s",),
        table=TableColumn("datagrams within it", "1/s", 121),
    ),
    Metric(
        name="bounded_loss_ratio",
        title="datagrams lost within the loss bound",
        unit="1",
        kind="loss",
        columns=("bounded_loss_ratio",),
    ),
    Metric(
        name="most_sent_bps", title="the sender's highest rate", unit="bit/s", kind="loss", columns=("most_sent_bps",)
    ),
    Metric(name="forward_bps", title="throughput there", unit="bit/s", kind="throughput", columns=("forward_bps",)),
    Metric(name="reverse_bps", title="throughput back", unit="bit/s", kind="throughput", columns=("reverse_bps",)),
    ComparedMetric(
        name="update_p50_s",
        title="update of the rules, median",
        unit="s",
        kind="programming",
        columns=("update_p50_s",),
        scale="ratio",
        better="lower",
        more="updates its rules more slowly",
        less="updates its rules faster",
        curve="an update of the rules takes",
        curve_leads=True,
        table=TableColumn("update p50", "ms", 130),
    ),
    Metric(
        name="update_p99_s",
        title="update of the rules, 99th percentile",
        unit="s",
        kind="tail",
        columns=("update_p99_s",),
        table=TableColumn("update p99", "ms", 131),
    ),
    Metric(
        name="update_worst_s",
        title="slowest update of the rules",
        unit="s",
        kind="tail",
        columns=("update_worst_s",),
        visit="max({value})",
        table=TableColumn("slowest update", "ms", 132),
    ),
    Metric(
        name="updates_failed",
        title="updates that failed",
        unit="1",
        kind="programming",
        columns=("updates_failed",),
        visit="sum({value})",
        table=TableColumn("updates failed", "", 133),
    ),
    ComparedMetric(
        name="programming_p50_s",
        title="time until a change works, median",
        unit="s",
        kind="programming",
        columns=("programming_p50_s",),
        scale="ratio",
        better="lower",
        more="makes changes work later",
        less="makes changes work sooner",
        curve="a change works after",
        curve_leads=True,
        table=TableColumn("change works p50", "ms", 134),
    ),
    ComparedMetric(
        name="programming_p99_s",
        title="time until a change works, 99th percentile",
        unit="s",
        kind="tail",
        columns=("programming_p99_s",),
        scale="ratio",
        better="lower",
        more="makes the slowest hundredth of changes work later",
        less="makes the slowest hundredth of changes work sooner",
        table=TableColumn("change works p99", "ms", 135),
    ),
    Metric(
        name="programming_worst_s",
        title="latest change",
        unit="s",
        kind="tail",
        columns=("programming_worst_s",),
        visit="max({value})",
        table=TableColumn("latest change", "ms", 136),
    ),
    Metric(
        name="programming_failed",
        title="changes that never worked",
        unit="1",
        kind="programming",
        columns=("programming_failed",),
        visit="sum({value})",
        table=TableColumn("changes never worked", "", 137),
    ),
    _of_node(
        "felix_memory_bytes", "memory of Felix", "Felix holds", "memory in Felix", TableColumn("Felix", "MiB", 140)
    ),
    _of_node(
        "kube_proxy_memory_bytes",
        "memory of kube-proxy",
        "kube-proxy holds",
        "memory in kube-proxy",
        TableColumn("kube-proxy", "MiB", 141),
    ),
    _of_node(
        "kernel_memory_bytes",
        "memory of the kernel",
        "the kernel holds",
        "memory in the kernel",
        TableColumn("kernel", "MiB", 142),
        needs="kernel_memory_bytes",
    ),
    _of_node(
        "felix_cpu_ratio",
        "CPUs used by Felix",
        "Felix uses so many CPUs:",
        "CPU in Felix",
        TableColumn("Felix, CPUs", "", 143),
    ),
    _of_node(
        "kube_proxy_cpu_ratio",
        "CPUs used by kube-proxy",
        "kube-proxy uses so many CPUs:",
        "CPU in kube-proxy",
        TableColumn("kube-proxy, CPUs", "", 144),
    ),
)
"""In the order of comparison."""

COMPARED: Final = tuple(metric for metric in METRICS if isinstance(metric, ComparedMetric))

BY_NAME: Final = {metric.name: metric for metric in COMPARED}
"""The compared metrics by name."""

LEADING: Final = tuple(metric for metric in COMPARED if metric.leads)
"""The main metrics of their paths; the first takes precedence."""

TRIALS: Final = "trials"
"""The key figure that counts trials by outcome."""

KINDS: Final = "kinds"
"""The key figure that counts the kinds of traffic on which a dataplane is good, worse, mixed or undecided."""


def exports() -> Iterator[tuple[Metric, Export]]:
    """The metrics that have a key figure, with it."""
    return ((metric, metric.export) for metric in METRICS if metric.export is not None)


def figure_name(figure: str, *of: str) -> str:
    """The name of a key figure: `throughput ebpf pod-to-service`, or `trials measured`."""
    return " ".join((figure, *of))
