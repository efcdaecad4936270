"""A night's key figures as metrics of Argo's controller, `argo_workflows_dataplane_benchmark_...`, for Prometheus.

Each series is an entry of the template, with few and fixed labels: a dataplane, a path, and the run's trigger. A figure
that a run did not measure keeps its value, so every run has the number of trials of each outcome, zeros too.
"""

from collections.abc import Iterator
from typing import Final, get_args

from hera.workflows import models as m

from analysis import metrics
from analysis.summary.figures.traffic import Claim
from steps.catalogue import profiles
from steps.catalogue.dataplanes import of_kind
from steps.catalogue.environments import KUBERNETES
from steps.catalogue.topologies import NODE_TO_NODE, TOPOLOGIES

TEMPLATE: Final = "report"
"""The step with the figures as its output."""

OUTPUT: Final = "figures"
PREFIX: Final = "dataplane_benchmark"
_TRIGGER: Final = m.MetricLabel(
    key="trigger", value="{{=workflow.parameters.trigger == 'nightly' ? 'nightly' : 'submitted'}}"
)
"""Not the parameter itself: with any value of it, a submitter could make any number of series."""

_NIGHTLY: Final = frozenset(cell.topology for cell in profiles.BY_NAME[profiles.NIGHTLY].cells or ())
"""The paths of a night: Argo takes at most 100 metrics of a template."""


def build_metrics() -> list[m.Prometheus]:
    """All series: of the paths in which dataplanes can differ, of the answer, and of the numbers of trials."""
    return [*_of_paths(), *_of_answer(), *_of_trials()]


def _of_paths() -> Iterator[m.Prometheus]:
    dataplanes = [d.name for d in of_kind(KUBERNETES)]
    paths = [t.name for t in TOPOLOGIES if t.name in _NIGHTLY and t.name != NODE_TO_NODE and not t.same_node]
    for _, export in metrics.exports():
        for dataplane in dataplanes:
            for path in paths:
                labels = [m.MetricLabel(key="dataplane", value=dataplane), m.MetricLabel(key="topology", value=path)]
                figure = metrics.figure_name(export.figure, dataplane, path)
                yield _gauge(export.gauge, export.description, [*labels, _TRIGGER], figure)


def _of_answer() -> Iterator[m.Prometheus]:
    for dataplane in of_kind(KUBERNETES):
        for claim in get_args(Claim):
            labels = [m.MetricLabel(key="dataplane", value=dataplane.name), m.MetricLabel(key="answer", value=claim)]
            figure = metrics.figure_name(metrics.KINDS, dataplane.name, claim)
            yield _gauge(
                "kinds_of_traffic", "Kinds of traffic of the last run, by answer.", [*labels, _TRIGGER], figure
            )


def _of_trials() -> Iterator[m.Prometheus]:
    for outcome in metrics.OUTCOMES:
        labels = [m.MetricLabel(key="outcome", value=outcome), _TRIGGER]
        yield _gauge("trials", "Trials of the last run.", labels, metrics.figure_name(metrics.TRIALS, outcome))


def _gauge(name: str, text: str, labels: list[m.MetricLabel], figure: str) -> m.Prometheus:
    found = f"fromJSON(outputs.parameters.{OUTPUT})['{figure}']"
    return m.Prometheus(
        name=f"{PREFIX}_{name}",
        help=text,
        labels=labels,
        when=f"{{{{={found} != nil}}}}",
        gauge=m.Gauge(value=f"{{{{={found} ?? ''}}}}", realtime=False),
    )
