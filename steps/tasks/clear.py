"""The end of a visit: look at the evidence again, then take away what the trials needed."""

from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.proof import evaluate
from steps.tasks._pod import step
from steps.tasks._step import VISIT_FOLDER, document, ends_in_a_sentence, planned_visit, say


@step("observe", deadline_s=600)
@ends_in_a_sentence
def clear(settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + documents.CLEAR)]) -> None:
    """A dataplane that changed in between voids the trials, so what can't be seen now is kept as the reason."""
    chosen, going = planned_visit(settings, visit)
    cluster = connect_cluster(chosen.environment)
    kept = documents.Evidence(visit=going.visit, nodes=cluster.measured_nodes)
    try:
        signs = cluster.observe(going, "after")
        weighed = evaluate.evaluate(signs, going.dataplane, cluster.measured_nodes)
        kept = kept.model_copy(update={"signs": tuple(signs), "proof": weighed})
        if weighed.reason:
            say(f"the evidence after the last trial: {weighed.reason}")
    except Problem as problem:
        kept = kept.model_copy(update={"error": str(problem)})
        say(str(problem))
    finally:
        documents.write_document(document, kept)
        cluster.clear()
