"""Switch to a visit's dataplane, start the servers of its trials, and list the measuring steps and where each runs.

Within a run it never waits for its turn, since visits begin one after another. Argo's Retry, however, begins all visits
at once that a Stop had failed. One of these steps at a time has the mutex, and waits until the visit before it is over.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE
from steps.cluster import connect_cluster
from steps.cluster.port import Cluster
from steps.domain import Placement, Visit
from steps.proof import scale
from steps.settings import turn_order
from steps.tasks.shared.artifacts import Outputs
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import VISIT_FOLDER, document_artifact, kept_on_failure, log, node_title, planned_visit

TURN: Final = "dataplane-benchmark-visit"
"""The mutex of the visit that begins."""

_START_S: Final = 900
"""How long a measuring step's pod may take to start, including the pull of its image."""

UNSCALED: Final = "no"
"""The output `scaled` of a visit without a step that changes the scale."""


@dataclass(frozen=True, kw_only=True)
class ConfigureResult(Outputs):
    """The items of the loop over measuring steps, and whether the step that changes the scale has something to do."""

    measures: list[dict[str, str]]
    scaled: str


# Not repeatable: it would have no pod while it waits for the mutex, and Retry would skip its visit after a Stop.
@step("switch", deadline_s=86_400, fields={"synchronization": {"mutexes": [{"name": TURN}]}})
def configure(
    settings: str,
    visit: str,
    document: Annotated[Path, document_artifact(VISIT_FOLDER + "/" + documents.CONFIGURE)],
    prepared: Annotated[Path, document_artifact(VISIT_FOLDER + "/" + documents.PREPARE, name="prepared")],
) -> ConfigureResult:
    """Switch, start servers and Services, and prove the first scale; write what was done, or why it failed.

    Without servers it lists no measuring steps and does not fail: the switch is made, so that `settle` has to find out
    whether it must be left.
    """
    chosen, planned = planned_visit(settings, visit)
    cluster = connect_cluster(chosen.environment)
    try:
        _switch(cluster, planned, chosen, document)
    except Problem:  # Argo wants every artifact of a step
        documents.write_document(prepared, documents.Prepare(visit=planned.visit, error="the switch failed before it"))
        raise
    placements = _prepare(cluster, planned, chosen, prepared)
    return ConfigureResult(
        measures=measures(planned, chosen, placements) if placements else [],
        scaled="yes" if placements and turn_order.has_scale_step(planned) else UNSCALED,
    )


def _switch(cluster: Cluster, visit: Visit, settings: Settings, path: Path) -> None:
    """Switch to the visit's dataplane."""
    log(f"switching to {visit.dataplane}")
    kept = documents.Configure(visit=visit.visit, started_at=datetime.now(UTC))
    with kept_on_failure(path, kept):
        cluster.await_turn(visit, settings)
        began = time.monotonic()
        changes = cluster.configure(visit, settings)
        switch_s = time.monotonic() - began
    documents.write_document(path, kept.model_copy(update={"changes": tuple(changes), "switch_s": switch_s}))
    log(f"switched to {visit.dataplane} in {switch_s:.2f} s")


def _prepare(cluster: Cluster, visit: Visit, settings: Settings, path: Path) -> dict[str, Placement]:
    """Start the visit's servers, and prove the first scale; the placements by topology, none where they did not start.

    Raises:
        Problem: the document can't be written.
    """
    first = _FirstScale(cluster, visit, settings)
    try:
        with _cleared_on_failure(cluster, visit):
            cluster.await_switch(visit)
            placements = tuple(cluster.prepare(visit, settings, first.prove_without_servers))
            first.prove()
            log(f"servers for {len(placements)} topologies are started")
        kept = documents.Prepare(visit=visit.visit, prepared_at=cluster.now(), placements=placements, scale=first.proof)
    except Problem as problem:
        log(f"nothing can be measured: {problem}")
        kept = documents.Prepare(visit=visit.visit, error=str(problem))
    with _cleared_on_failure(cluster, visit):
        documents.write_document(path, kept)
    return {placement.topology: placement for placement in kept.placements}


@contextmanager
def _cleared_on_failure(cluster: Cluster, visit: Visit) -> Iterator[None]:
    """Remove the servers, so that no step waits for turns that no measuring step takes."""
    try:
        yield
    except Problem:
        with suppress(Problem):
            cluster.clear(visit)
        raise


class _FirstScale:
    """The proof of the scale of the visit's first trial, which was made with the dataplane or with the servers."""

    def __init__(self, cluster: Cluster, visit: Visit, settings: Settings) -> None:
        self._cluster, self._visit, self._settings = cluster, visit, settings
        self.proof: documents.ScaleChange | None = None

    def prove_without_servers(self) -> None:
        """Prove it unless agents count it only where servers run, as policies that select these.

        It's done before these have addresses, since kube-proxy's count waits for what they change.
        """
        if not any(trial.scale.policies for trial in self._visit.trials[:1]):
            self.prove()

    def prove(self) -> None:
        """Count it on the nodes, unless that is done; nothing where the visit has no trials."""
        if self.proof is not None or not self._visit.trials:
            return
        first = self._visit.trials[0]
        self.proof = scale.change_scale(
            scale.begin(first.scale, first.position),
            lambda _scale: (),
            lambda wanted: self._cluster.count_scale(self._visit, self._settings, wanted),
            turn_order.scale_lease_s(self._settings.environment),
            log,
        )


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
