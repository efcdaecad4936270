"""Leave a dataplane that was not proven, at once: where one node fell back, nodes can't reach each other."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.cluster.port import Cluster
from steps.domain import Change, Visit
from steps.proof.wait import Impossible, judge
from steps.tasks.shared.pod import SWITCH_DEADLINE_S, step
from steps.tasks.shared.step import VISIT_FOLDER, document_artifact, kept_on_failure, log, planned_visit
from steps.tasks.shared.turns import refuse_turns


@step("switch", deadline_s=SWITCH_DEADLINE_S, repeatable=True)
def retreat(
    settings: str, visit: str, document: Annotated[Path, document_artifact(VISIT_FOLDER + "/" + documents.RETREAT)]
) -> None:
    """Switch back to what ran before the run; later visits do not try again what is impossible here.

    It has no input artifact, for which its pod would wait while the cluster's network is broken.
    """
    chosen, planned = planned_visit(settings, visit)
    kept = documents.Configure(visit=planned.visit, started_at=datetime.now(UTC))
    with kept_on_failure(document, kept):
        cluster = connect_cluster(chosen.environment)
    try:
        changes = _leave(cluster, planned, kept, document)
        log(f"left {planned.dataplane}, which is not proven" if changes else "there was nothing to leave")
    finally:
        # settle may not have reached the server of turns, by which the measuring steps would wait on for many minutes
        refuse_turns(cluster, planned, chosen, "its proof failed, and it was left")


def _leave(cluster: Cluster, visit: Visit, kept: documents.Configure, document: Path) -> list[Change]:
    """What was changed on the way back, which is kept, as is the reason why it failed."""
    began = time.monotonic()
    with kept_on_failure(document, kept):
        changes = cluster.retreat(visit, _impossible(cluster, visit))
    switch_s = time.monotonic() - began
    documents.write_document(document, kept.model_copy(update={"changes": tuple(changes), "switch_s": switch_s}))
    return changes


def _impossible(cluster: Cluster, visit: Visit) -> str | None:
    """Why the dataplane can never be proven here, by one more observation; None: it might be."""
    try:
        judgement = judge(cluster.observe(visit, "before"), visit.dataplane, cluster.measured_nodes)
    except Problem as problem:
        log(f"whether {visit.dataplane} is possible here at all is unknown: {problem}")
        return None
    return judgement.reason if isinstance(judgement, Impossible) else None
