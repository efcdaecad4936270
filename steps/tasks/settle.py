"""Wait until the visit's dataplane is proven to carry traffic on every measured node; fail closed.

The measuring steps start meanwhile, and measure nothing before this step reports the proof.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.cluster import connect_cluster
from steps.cluster.port import Cluster
from steps.domain import Visit
from steps.proof import wait
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import VISIT_FOLDER, document_artifact, log, planned_visit
from steps.tasks.shared.turns import open_turns, refuse_turns


@step("observe", deadline_s=900)
def settle(
    settings: str, visit: str, document: Annotated[Path, document_artifact(VISIT_FOLDER + "/" + documents.SETTLE)]
) -> None:
    """Observe until the evidence suffices or time is up, and write the evidence in either case."""
    chosen, planned = planned_visit(settings, visit)
    cluster = connect_cluster(chosen.environment)
    nodes = cluster.measured_nodes
    kept = documents.Evidence(visit=planned.visit, nodes=nodes)
    try:
        proven = _proven(cluster, planned, chosen, lambda found: _write(document, kept, found))
    except Problem as problem:
        # Tried once: the way back waits for this step, and refuses again when the network works.
        refuse_turns(cluster, planned, chosen, str(problem), silent_s=0)
        raise
    log(f"{proven.proof.observed} proven in {proven.settle_s:.2f} s")
    open_turns(cluster, planned, chosen)


def _proven(
    cluster: Cluster, visit: Visit, settings: Settings, keep: Callable[[dict[str, object]], None]
) -> wait.ProvenEvidence:
    """The proof, which is kept, as is the reason why there is none.

    Raises:
        Problem: there is none, or it can't be kept.
    """
    try:
        proven = wait.wait_for_proof(
            lambda: cluster.observe(visit, "before"),
            lambda signs: wait.judge(signs, visit.dataplane, cluster.measured_nodes),
            wait.timeout_s(settings.environment),
            log,
        )
    except Problem as problem:
        found: dict[str, object] = {"error": str(problem)}
        if isinstance(problem, wait.UnprovenError):
            found |= {"signs": problem.signs, "proof": problem.proof, "final": problem.final}
        keep(found)
        raise
    cost = cluster.cost(final=False)
    cluster.rest()
    found = {"signs": proven.signs, "proof": proven.proof, "settle_s": proven.settle_s, "cost": cost}
    keep({**found, "proven_at": datetime.now(UTC)})
    return proven


def _write(path: Path, kept: documents.Evidence, found: dict[str, object]) -> None:
    documents.write_document(path, kept.model_copy(update=found))
