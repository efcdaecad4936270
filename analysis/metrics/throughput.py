"""Throughput, what it costs in CPU, and how TCP and the path fared."""

from typing import Final

from analysis.metrics.metric import BarChart, ComparedMetric, Export, Metric, TableColumn

THROUGHPUT: Final = "received_bps"
"""The metric of a sentence or a chart line that names none."""

HOST_NETWORK_RATIO: Final = "host_network_ratio"
"""The metric that relates throughput to that of the host network in the same seconds."""

METRICS: Final = (
    ComparedMetric(
        name=THROUGHPUT,
        title="throughput",
        unit="bit/s",
        kind="throughput",
        visit="geometric_mean({value})",
        better="higher",
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
        better="higher",
        table=TableColumn("of the host network's", "", 15),
    ),
    ComparedMetric(
        name="cpu_s_per_gbit",
        title="CPU per Gbit",
        unit="s/Gbit",
        kind="cpu",
        needs="received_bps",
        better="lower",
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
    Metric(
        name="sent_bps",
        title="throughput sent",
        unit="bit/s",
        kind="throughput",
        visit="geometric_mean({value})",
        table=TableColumn("sent", "Gbit/s", 20),
    ),
    Metric(
        name="retransmits",
        title="segments sent again",
        unit="1",
        kind="throughput",
        table=TableColumn("resent segments", "", 40),
    ),
    Metric(
        name="rtt_s",
        title="round trip",
        unit="s",
        kind="throughput",
        table=TableColumn("round trip", "ms", 50),
    ),
    Metric(
        name="nat_bytes_per_payload_byte",
        title="bytes through the NodePort's node per payload byte",
        unit="1",
        kind="return_path",
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
        needs="nodes",
        trial="list_avg(list_transform(nodes, lambda n: n.busy_ratio))",
        table=TableColumn("CPU busy", "%", 80),
    ),
    Metric(name="forward_bps", title="throughput there", unit="bit/s", kind="throughput"),
    Metric(name="reverse_bps", title="throughput back", unit="bit/s", kind="throughput"),
)
