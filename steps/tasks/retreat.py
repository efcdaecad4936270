"""Leave a dataplane that was not proven, at once: where one node fell back, nodes can't reach each other."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.cluster.port import Cluster
from steps.domain import Visit
from steps.proof.wait import Impossible, judge
from steps.tasks._pod import step
from steps.tasks._step import VISIT_FOLDER, document, ends_in_a_sentence, planned_visit, say


@step("switch", deadline_s=1800, repeatable=True)
@ends_in_a_sentence
def retreat(
    settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + documents.RETREAT)]
) -> None:
    """Back to what ran before the run. What can't be had here at all is not tried again by later visits.

    It has no input artifact, for which its pod would wait while the cluster's network is broken.
    """
    leave(settings, visit, document)


def leave(settings: str, visit: str, document: Path) -> None:
    """Leave a visit's dataplane, and keep what was done.

    Args:
        settings: of the run, as JSON.
        visit: its number.
        document: where to keep it.
    """
    chosen, going = planned_visit(settings, visit)
    kept = documents.Configure(visit=going.visit, started_at=datetime.now(UTC))
    began = time.monotonic()
    try:
        cluster = connect_cluster(chosen.environment)
        changes = cluster.retreat(going, _why_never(cluster, going))
    except Problem as problem:
        documents.write_document(document, kept.model_copy(update={"error": str(problem)}))
        raise
    documents.write_document(
        document, kept.model_copy(update={"changes": tuple(changes), "switch_s": time.monotonic() - began})
    )
    say(f"left {going.dataplane}, which is not proven" if changes else "there was nothing to leave")


def _why_never(cluster: Cluster, visit: Visit) -> str | None:
    """Why the dataplane can't be proven however long one waits, by one more look; None: it might be."""
    try:
        judgement = judge(cluster.observe(visit, "before"), visit.dataplane, cluster.measured_nodes)
    except Problem as problem:
        say(f"whether {visit.dataplane} can be had here at all is unknown: {problem}")
        return None
    return judgement.reason if isinstance(judgement, Impossible) else None
