"""The metrics: one entry each, from which the view, the tables, the comparison, charts, the terminal and JSON follow.

A metric that is computed from stored columns takes an entry here; one with a new column takes that column in
analysis/schema.py as well. `visit_means` then has it, and its flags rule it out; each part of an entry that is given
puts it into one more place.
"""

from dataclasses import dataclass
from typing import Final, Literal

from analysis.flags import Kind
from analysis.words import SHARE

Scale = Literal["ratio", "points"]

THROUGHPUT: Final = "received_bps"
"""The metric that a sentence or a line of a chart is about where it names none."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A metric in the report's table of trials.

    Attributes:
        header: without the unit.
        unit: in which its figures are written, such as `Gbit/s`; empty: as they are.
        place: where the column stands; columns are sorted by it.
    """

    header: str
    unit: str
    place: int


@dataclass(frozen=True, slots=True)
class BarChart:
    """A chart of its own: a bar for each path and dataplane, with its interval.

    Attributes:
        name: of the chart, in the page.
        title: of the chart.
        reading: how to read it, in a sentence or two.
        empty: why there may be nothing to draw.
        axis: what the bars show, without the unit.
        place: where the chart stands in the report; charts are sorted by it.
    """

    name: str
    title: str
    reading: str
    empty: str
    axis: str
    place: int


@dataclass(frozen=True, slots=True)
class Export:
    """A key figure for programs that follow runs from outside the store: the mean over visits of one tool.

    Attributes:
        figure: its name among a run's key figures.
        gauge: its name in Prometheus, with the unit, after the benchmark's own prefix.
        description: a sentence, as Prometheus shows it.
        tool: whose figure it is.
        transport: over which.
    """

    figure: str
    gauge: str
    description: str
    tool: str = "iperf3"
    transport: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure of a trial, and what becomes of it.

    Attributes:
        name: its column in the view `visit_means`, null where a visit does not have it.
        title: in sentences and headings.
        unit: of its values, SI; "1" where it has none.
        kind: what it is about: the flags that void or mark figures of this kind do so to it.
        columns: the columns of `trials` that it is made of, which a flag that voids it takes out; figures of nodes are
            taken out by `flags.NODE_FIELDS`.
        trial: a trial's value, in SQL over `trials`; empty: the column of its name.
        visit: a visit's value, in SQL over the visit's trials, with `{value}` for a trial's.
        needs: the column that a tool must fill for its trials to have this metric; empty: the first of `columns`.
        table: its column in the report's table of trials, if it has one.
        chart: its own chart, if it has one.
        export: the key figure that is made of it, if one is.
    """

    name: str
    title: str
    unit: str
    kind: Kind
    columns: tuple[str, ...]
    trial: str = ""
    visit: str = "avg({value})"
    needs: str = ""
    table: TableColumn | None = None
    chart: BarChart | None = None
    export: Export | None = None

    @property
    def trial_sql(self) -> str:
        """A trial's value, in SQL over `trials`."""
        return self.trial or self.name

    @property
    def visit_sql(self) -> str:
        """A visit's value, in SQL over the visit's trials."""
        return self.visit.replace("{value}", self.trial_sql)

    @property
    def shown_unit(self) -> str:
        """The unit in which its values are written."""
        return self.unit

    @property
    def needed_column(self) -> str:
        """The column of `trials` that a tool must fill for its trials to have this metric."""
        return self.needs or self.columns[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric(Metric):
    """A metric by which dataplanes are compared with the baseline, and nights with earlier ones.

    Attributes:
        scale: ratio (compared by logarithms, written in per cent) or points (a share, compared as it is, written in
            percentage points).
        better: which is wanted.
        more: what a dataplane does whose value is above the baseline's.
        less: what one does whose value is below it.
        in_lab: whether the lab can tell anything by it; where not, it is shown but not compared.
        leads: whether it answers for its paths: in the headline, the first chart, and first in the terminal.
        beside: the word by which the terminal shows it beside the metric that leads and needs the same column; empty:
            the report alone shows it.
    """

    scale: Scale
    better: Literal["higher", "lower"]
    more: str
    less: str
    in_lab: bool = True
    leads: bool = False
    beside: str = ""

    @property
    def shown_unit(self) -> str:
        """The unit in which its values are written."""
        return shown_unit(self.unit, self.scale)


def shown_unit(unit: str, scale: Scale) -> str:
    """The unit in which values on a scale are written: shares in per cent."""
    return SHARE if scale == "points" else unit


METRICS: Final[tuple[Metric, ...]] = (
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
        table=TableColumn("received", "Gbit/s", 10),
        chart=BarChart(
            name="throughput",
            title="Throughput",
            reading="Payload that arrived, mean over visits; the line is its 95 % interval.",
            empty="No trial of iperf3 was measured, so there is no throughput to show.",
            axis="throughput",
            place=20,
        ),
        export=Export("throughput", "throughput_bits_per_second", "TCP throughput of the last run, mean over visits."),
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
    Metric(name="connects_per_s", title="connects per second", unit="1/s", kind="connect", columns=("connects_per_s",)),
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
)
"""In the order in which they are compared. Adding a metric is adding an entry."""

COMPARED: Final = tuple(metric for metric in METRICS if isinstance(metric, ComparedMetric))

BY_NAME: Final = {metric.name: metric for metric in COMPARED}
"""The metrics by which dataplanes are compared."""

LEADING: Final = tuple(metric for metric in COMPARED if metric.leads)
"""Those that answer for their paths, the first before the others."""
