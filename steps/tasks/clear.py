"""The end of a visit: observe the evidence again, then delete what the trials needed.

It starts beside the measuring steps and waits until they are done, so that no pod starts between them and it.
"""

from pathlib import Path
from typing import Annotated, Final

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.proof import evaluate
from steps.settings import turn_order
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import VISIT_FOLDER, document_artifact, log, planned_visit
from steps.tasks.shared.turns import turns_of

_SUCCEEDED: Final = "Succeeded"


@step("observe", deadline_s=86_400)
def clear(
    settings: str,
    visit: str,
    configured: str,
    document: Annotated[Path, document_artifact(VISIT_FOLDER + "/" + documents.CLEAR)],
) -> None:
    """Write the evidence, or why there is none: either can void the visit's trials.

    `configured`: how the step ended that lists the measuring steps; unless it succeeded there are none to wait for.
    """
    chosen, planned = planned_visit(settings, visit)
    cluster = connect_cluster(chosen.environment)
    try:
        if configured == _SUCCEEDED:
            turns_of(cluster.turns(planned), turn_order.CLEAR, planned, chosen).leave()
    except Problem as problem:
        log(str(problem))
    kept = documents.Evidence(visit=planned.visit, nodes=cluster.measured_nodes)
    try:
        kept = kept.model_copy(update={"cost": cluster.cost(final=True)})
        signs = cluster.observe(planned, "after")
        proof = evaluate.evaluate(signs, planned.dataplane, cluster.measured_nodes)
        kept = kept.model_copy(update={"signs": tuple(signs), "proof": proof})
        if proof.reason:
            log(f"the evidence after the last trial: {proof.reason}")
    except Problem as problem:
        kept = kept.model_copy(update={"error": str(problem)})
        log(str(problem))
    finally:
        documents.write_document(document, kept)
        cluster.clear(planned)
