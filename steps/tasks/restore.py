"""The exit handler's first task: everything as it was before the run, however the run ended."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.cluster.port import Cluster
from steps.settings import environment
from steps.tasks._pod import step
from steps.tasks._step import RUN_FOLDER, document, ends_in_a_sentence, say


@step("switch", deadline_s=1800, repeatable=True)
@ends_in_a_sentence
def restore(document: Annotated[Path, document(RUN_FOLDER + "/" + documents.RESTORE)]) -> None:
    """Works from what the cluster itself holds. Safe to run twice, and when nothing was changed.

    It has no input: its pod would wait for documents from a bucket, for minutes where the cluster's network is what has
    to be put back, and anyone who may write to that bucket would decide what is.
    """
    cluster = connect_cluster(environment.environment())
    kept = documents.Restore(finished_at=datetime.now(UTC), evidence=_last_look(cluster))
    try:
        kept = kept.model_copy(update={"left": tuple(cluster.left())})
        changes = cluster.restore()
    except Problem as problem:
        documents.write_document(document, kept.model_copy(update={"error": str(problem)}))
        raise
    documents.write_document(
        document, kept.model_copy(update={"finished_at": datetime.now(UTC), "changes": tuple(changes)})
    )
    say("everything is as it was" if changes else "there was nothing to put back")


def _last_look(cluster: Cluster) -> documents.Evidence | None:
    """What carries the traffic now, if a visit was cut short: without a second look its trials would be void."""
    try:
        visit = cluster.unfinished()
        if visit is None:
            return None
        signs = cluster.observe(visit, "after")
        return documents.Evidence(visit=visit.visit, nodes=cluster.measured_nodes, signs=tuple(signs))
    except Problem as problem:
        say(f"no last look at the evidence: {problem}")
        return None
