"""Wait until the visit's dataplane is proven to carry traffic on every measured node; fail closed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.proof import wait as settling
from steps.tasks._pod import step
from steps.tasks._step import VISIT_FOLDER, document, ends_in_a_sentence, planned_visit, say


@step("observe", deadline_s=900)
@ends_in_a_sentence
def settle(
    settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + documents.SETTLE)]
) -> None:
    """Look until the evidence suffices or time is up; keep what was seen, whatever it says."""
    chosen, going = planned_visit(settings, visit)
    cluster = connect_cluster(chosen.environment)
    nodes = cluster.measured_nodes
    kept = documents.Evidence(visit=going.visit, nodes=nodes)
    try:
        settled = settling.wait_for_proof(
            lambda: cluster.observe(going, "before"),
            lambda signs: settling.judge(signs, going.dataplane, nodes),
            settling.timeout_s(chosen.environment),
            say,
        )
    except Problem as problem:
        seen: dict[str, object] = {}
        if isinstance(problem, settling.UnprovenError):
            seen = {"signs": problem.signs, "proof": problem.proof, "final": problem.final}
        documents.write_document(document, kept.model_copy(update={**seen, "error": str(problem)}))
        raise
    proven_at = datetime.now(UTC)
    found = {"signs": settled.signs, "proof": settled.proof, "settle_s": settled.settle_s, "proven_at": proven_at}
    documents.write_document(document, kept.model_copy(update={**found, "cost": cluster.cost()}))
    say(f"{settled.proof.observed} proven in {settled.settle_s:.2f} s")
