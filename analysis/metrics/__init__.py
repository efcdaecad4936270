"""The metrics, one entry each, in a file for each kind of measurement.

Views, tables, comparisons, charts, the terminal and JSON are derived from them. A metric that needs a new column takes
an entry in analysis/store/schema.py as well.
"""

from collections.abc import Iterator
from typing import Final

from analysis.metrics import agents, connect, loss, programming, response, throughput
from analysis.metrics.metric import ComparedMetric, Export, Metric

METRICS: Final = (
    *throughput.METRICS,
    *connect.METRICS,
    *loss.METRICS,
    *response.METRICS,
    *programming.METRICS,
    *agents.METRICS,
)
"""In the order of comparison."""

COMPARED: Final = tuple(metric for metric in METRICS if isinstance(metric, ComparedMetric))

BY_NAME: Final = {metric.name: metric for metric in COMPARED}
"""The compared metrics by name."""

LEADING: Final = tuple(metric for metric in COMPARED if metric.leads)
"""The main metrics of their paths; the first takes precedence."""

LEADING_NAMES: Final = frozenset(metric.name for metric in LEADING)

TRIALS: Final = "trials"
"""The key figure that counts trials by outcome."""

OUTCOMES: Final = ("measured", "failed", "not-run")
"""Of trials."""

KINDS: Final = "kinds"
"""The key figure that counts the kinds of traffic on which a dataplane is good, worse, mixed or undecided."""


def exports() -> Iterator[tuple[Metric, Export]]:
    """The metrics that have a key figure, with it."""
    return ((metric, metric.export) for metric in METRICS if metric.export is not None)


def figure_name(figure: str, *of: str) -> str:
    """The name of a key figure: `throughput ebpf pod-to-service`, or `trials measured`."""
    return " ".join((figure, *of))
