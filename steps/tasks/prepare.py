"""Start the servers of the visit's trials, and list the measuring steps and where each of them runs."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

from hera.workflows import Parameter
from hera.workflows.io import Output

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE
from steps.cluster import connect_cluster
from steps.cluster.port import Cluster
from steps.domain import Placement, Visit
from steps.proof import scale
from steps.settings import turn_order
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import VISIT_FOLDER, document, kept_on_failure, log, node_title, planned_visit

UNSCALED: Final = "no"
"""The output `scaled` of a visit without a step that changes the scale."""

_START_S: Final = 900
"""How long a measuring step's pod may take to start, including the pull of its image."""


class PrepareResult(Output):
    """The items of the loop over measuring steps, and whether the step that changes the scale has something to do."""

    measures: Annotated[list[dict[str, str]], Parameter(name="measures")]
    scaled: Annotated[str, Parameter(name="scaled")]


@step("observe", deadline_s=5400)
def prepare(
    settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + documents.PREPARE)]
) -> PrepareResult:
    """Start servers and Service, and prove the first scale."""
    chosen, planned = planned_visit(settings, visit)
    kept = documents.Prepare(visit=planned.visit)
    cluster = connect_cluster(chosen.environment)
    with kept_on_failure(document, kept), _cleared_on_failure(cluster):
        placements = cluster.prepare(planned, chosen)
        log(f"servers for {len(placements)} topologies are started")
        found = {"placements": tuple(placements), "scale": _first_scale(cluster, planned, chosen)}
    with _cleared_on_failure(cluster):
        documents.write_document(document, kept.model_copy(update=found))
    return PrepareResult(
        measures=measures(planned, chosen, {placement.topology: placement for placement in placements}),
        scaled="yes" if turn_order.has_scale_step(planned) else UNSCALED,
    )


def _first_scale(cluster: Cluster, visit: Visit, settings: Settings) -> documents.ScaleChange | None:
    """The proof of the scale of the visit's first trial, which was made with the dataplane or with the servers."""
    if not visit.trials:
        return None
    return scale.change_scale(
        scale.begin(visit.trials[0].scale, visit.trials[0].position),
        lambda _scale: (),
        lambda wanted: cluster.count_scale(visit, settings, wanted),
        turn_order.scale_lease_s(settings.environment),
        log,
    )


@contextmanager
def _cleared_on_failure(cluster: Cluster) -> Iterator[None]:
    """Remove the servers, so that no step waits for turns that no measuring step takes."""
    try:
        yield
    except Problem:
        with suppress(Problem):
            cluster.clear()
        raise


def measures(visit: Visit, settings: Settings, placements: dict[str, Placement]) -> list[dict[str, str]]:
    """The measuring steps, which run at the same time and take turns: the host network's, and one for each topology."""
    turns_s = turn_order.longest_s(visit, settings.omit_s, settings.idle_s, settings.environment)
    between_hosts = {turn_order.HOST_NETWORK: placements[NODE_TO_NODE]}
    return [
        _item(visit, what, (between_hosts | placements)[what], _START_S + round(turns_s))
        for what in turn_order.steps(visit)
    ]


def _item(visit: Visit, what: str, placement: Placement, timeout_s: int) -> dict[str, str]:
    client = BY_NAME[placement.topology].client
    return {
        "what": what,
        "title": node_title(what, visit.dataplane, f"visit-{visit.visit}"),
        "client-node": placement.client_node,
        "timeout": f"{timeout_s}s",
        "network": "outside" if client == "outside" else "node" if placement.host_network else "pod",
    }
