"""What is compared between dataplanes: one entry each. Adding a metric is adding an entry."""

from dataclasses import dataclass
from typing import Final, Literal

from analysis.flags import Kind


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a trial and how visits are compared by it.

    `name`: its column in the view `visit_means`, null where a visit does not have it.
    `scale`: ratio (compared by logarithms, told in per cent) or points (compared as it is, told in percentage points).
    `needs`: the column of `trials` that a tool must fill for its cells to be compared by it.
    `kind`: what it is about, by which flags void or mark it.
    `more`, `less`: what a dataplane does whose value is above, below the baseline's. `better`: which is wanted.
    `in_lab`: whether the lab can tell anything by it; where not, it is shown but not compared.
    """

    name: str
    title: str
    unit: str
    needs: str
    kind: Kind
    scale: Literal["ratio", "points"]
    better: Literal["higher", "lower"]
    more: str
    less: str
    in_lab: bool = True


METRICS: Final = (
    Metric(
        "received_bps",
        "throughput",
        "bit/s",
        "received_bps",
        "throughput",
        "ratio",
        "higher",
        "has more throughput",
        "has less throughput",
    ),
    Metric(
        "cpu_s_per_gbit",
        "CPU per Gbit",
        "s/Gbit",
        "received_bps",
        "cpu",
        "ratio",
        "lower",
        "needs more CPU per Gbit",
        "needs less CPU per Gbit",
    ),
    Metric(
        "connect_p50_s",
        "connect time, median",
        "s",
        "connect_p50_s",
        "connect",
        "ratio",
        "lower",
        "connects more slowly",
        "connects faster",
    ),
    Metric(
        "connect_p99_s",
        "connect time, 99th percentile",
        "s",
        "connect_p99_s",
        "connect",
        "ratio",
        "lower",
        "has a slower 99th percentile of connects",
        "has a faster 99th percentile of connects",
    ),
    Metric(
        "loss_ratio",
        "UDP loss",
        "",
        "lost_packets",
        "loss",
        "points",
        "lower",
        "loses more",
        "loses less",
        in_lab=False,
    ),
)

BY_NAME: Final = {metric.name: metric for metric in METRICS}
