"""Loss and jitter of UDP, and the rate within the loss bound."""

from typing import Final

from analysis.metrics.metric import BarChart, ComparedMetric, Metric, TableColumn

METRICS: Final = (
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
        visit="geometric_mean({value})",
        better="higher",
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
    Metric(name="jitter_s", title="UDP jitter", unit="s", kind="loss"),
    Metric(
        name="bounded_loss_packets_per_s",
        title="datagrams a second within the loss bound",
        unit="1/s",
        kind="loss",
        table=TableColumn("datagrams within it", "1/s", 121),
    ),
    Metric(
        name="bounded_loss_ratio",
        title="datagrams lost within the loss bound",
        unit="1",
        kind="loss",
    ),
    Metric(name="most_sent_bps", title="the sender's highest rate", unit="bit/s", kind="loss"),
)
