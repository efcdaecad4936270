"""The exit handler's first task: everything as it was before the run, however the run ended."""

from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.cluster.port import Cluster
from steps.settings import environment
from steps.tasks.shared.pod import SWITCH_DEADLINE_S, step
from steps.tasks.shared.step import RUN_FOLDER, document_artifact, kept_on_failure, log


@step("switch", deadline_s=SWITCH_DEADLINE_S, repeatable=True)
def restore(document: Annotated[Path, document_artifact(RUN_FOLDER + "/" + documents.RESTORE)]) -> None:
    """Restore by the cluster's lock. Safe to run twice, and when nothing was changed.

    It has no input: its pod would wait for documents from a bucket while the cluster's network is broken, and anyone
    who may write to that bucket could change the cluster.
    """
    cluster = connect_cluster(environment.environment())
    kept = documents.Restore(finished_at=cluster.now(), evidence=_last_evidence(cluster))
    with kept_on_failure(document, kept):
        kept = kept.model_copy(update={"left": tuple(cluster.left())})
    with kept_on_failure(document, kept):
        changes = cluster.restore()
    documents.write_document(
        document, kept.model_copy(update={"finished_at": cluster.now(), "changes": tuple(changes)})
    )
    log("everything is as it was" if changes else "there was nothing to put back")


def _last_evidence(cluster: Cluster) -> documents.Evidence | None:
    """The evidence after the trials of a visit that was interrupted, without which they would be void."""
    try:
        visit = cluster.unfinished()
        if visit is None:
            return None
        signs = cluster.observe(visit, "after")
        return documents.Evidence(visit=visit.visit, nodes=cluster.measured_nodes, signs=tuple(signs))
    except Problem as problem:
        log(f"no evidence of the interrupted visit: {problem}")
        return None
