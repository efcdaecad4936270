"""The exit handler's first task: everything as it was before the run, however the run ended."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import raw, variables
from steps.cluster import connect
from steps.cluster.port import Cluster
from steps.tasks.common import RUN_FOLDER, document, ends_in_a_sentence, say
from steps.tasks.pod import step


@step("switch", deadline_s=1800, repeatable=True)
@ends_in_a_sentence
def restore(document: Annotated[Path, document(RUN_FOLDER + "/" + raw.RESTORE)]) -> None:
    """Works from what the cluster itself holds. Safe to run twice, and when nothing was changed.

    It has no input: its pod would wait for documents from a bucket, for minutes where the cluster's network is what has
    to be put back, and whoever may write to that bucket would decide what is.
    """
    cluster = connect(variables.environment())
    kept = raw.Restore(finished_at=datetime.now(UTC), evidence=_last_look(cluster))
    try:
        kept = kept.model_copy(update={"left": tuple(cluster.left())})
        changes = cluster.restore()
    except Problem as problem:
        raw.write(document, kept.model_copy(update={"error": str(problem)}))
        raise
    raw.write(document, kept.model_copy(update={"finished_at": datetime.now(UTC), "changes": tuple(changes)}))
    say("everything is as it was" if changes else "there was nothing to put back")


def _last_look(cluster: Cluster) -> raw.Evidence | None:
    """What carries the traffic now, if a visit was cut short: without a second look its trials would be void."""
    try:
        visit = cluster.unfinished()
        if visit is None:
            return None
        signs = cluster.observe(visit, "after")
        return raw.Evidence(visit=visit.visit, nodes=cluster.measured_nodes, signs=tuple(signs))
    except Problem as problem:
        say(f"no last look at the evidence: {problem}")
        return None
