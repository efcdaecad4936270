"""Wait until the visit's dataplane is proven to carry traffic on every measured node; fail closed.

The measuring steps start meanwhile, and measure nothing before this step reports the proof.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.proof import wait
from steps.tasks._pod import step
from steps.tasks._step import VISIT_FOLDER, document, log, planned_visit
from steps.tasks._turns import open_turns, refuse_turns


@step("observe", deadline_s=900)
def settle(
    settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + documents.SETTLE)]
) -> None:
    """Observe until the evidence suffices or time is up, and write the evidence in either case."""
    chosen, planned = planned_visit(settings, visit)
    cluster = connect_cluster(chosen.environment)
    nodes = cluster.measured_nodes
    kept = documents.Evidence(visit=planned.visit, nodes=nodes)
    try:
        proven = wait.wait_for_proof(
            lambda: cluster.observe(planned, "before"),
            lambda signs: wait.judge(signs, planned.dataplane, nodes),
            wait.timeout_s(chosen.environment),
            log,
        )
    except Problem as problem:
        found: dict[str, object] = {"error": str(problem)}
        if isinstance(problem, wait.UnprovenError):
            found |= {"signs": problem.signs, "proof": problem.proof, "final": problem.final}
        documents.write_document(document, kept.model_copy(update=found))
        with suppress(Problem):  # they end without it too, later
            refuse_turns(cluster, planned, chosen, str(problem))
        raise
    found = {"signs": proven.signs, "proof": proven.proof, "settle_s": proven.settle_s, "proven_at": datetime.now(UTC)}
    found["cost"] = cluster.cost(final=False)
    cluster.rest()
    documents.write_document(document, kept.model_copy(update=found))
    log(f"{proven.proof.observed} proven in {proven.settle_s:.2f} s")
    open_turns(cluster, planned, chosen)
