"""The exit handler's first task: everything as it was before the run, however the run ended."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from hera.workflows import S3Artifact

from analysis.errors import Problem
from steps import raw, variables
from steps.cluster import connect
from steps.cluster.port import Cluster
from steps.collect_visits import cut_short
from steps.tasks.common import RUN_FOLDER, document, ends_in_a_sentence, say
from steps.tasks.pod import step


@step("switch", deadline_s=1800, repeatable=True)
@ends_in_a_sentence
def restore(
    documents: Annotated[Path | None, S3Artifact(name="documents", key=RUN_FOLDER + "/", optional=True)],
    document: Annotated[Path, document(RUN_FOLDER + "/" + raw.RESTORE)],
) -> None:
    """Works from the run's snapshot where there is one. Safe to run twice, and when nothing was changed."""
    put_back(documents, document)


def put_back(documents: Path | None, document: Path) -> None:
    """Put the cluster back, and keep what was done.

    Args:
        documents: the run's, as far as it came.
        document: where to keep it.
    """
    cluster = connect(variables.environment())
    kept = raw.Restore(finished_at=datetime.now(UTC), evidence=_last_look(cluster, documents))
    try:
        snapshot = _snapshot(documents)
        kept = kept.model_copy(update={"left": tuple(cluster.left(snapshot))})
        changes = cluster.restore(snapshot)
    except Problem as problem:
        raw.write(document, kept.model_copy(update={"error": str(problem)}))
        raise
    raw.write(document, kept.model_copy(update={"finished_at": datetime.now(UTC), "changes": tuple(changes)}))
    say("everything is as it was" if changes else "there was nothing to put back")


def _last_look(cluster: Cluster, documents: Path | None) -> raw.Evidence | None:
    """What carries the traffic now, if a visit was cut short: without a second look its trials would be void."""
    try:
        if documents is None:
            return None
        run = raw.read(documents / raw.RUN, raw.Run)
        visit = cut_short(documents, raw.read(documents / raw.PREFLIGHT, raw.Preflight).visits)
        if visit is None:
            return None
        signs = cluster.observe(visit, run.settings, "after")
        return raw.Evidence(visit=visit.visit, nodes=cluster.measured_nodes, signs=tuple(signs))
    except FileNotFoundError:  # the run ended before its first visit
        return None
    except Problem as problem:
        say(f"no last look at the evidence: {problem}")
        return None


def _snapshot(documents: Path | None) -> dict[str, object] | None:
    """What the run found, unless its exit handler has put that back before: then Argo's Retry has begun it again.

    What differs from it now, somebody else has changed since. What the run has changed anew it has looked at anew, and
    that the cluster holds itself.
    """
    if documents is None or _restored_before(documents / raw.RESTORE):
        return None
    try:
        return raw.read(documents / raw.SNAPSHOT, raw.Snapshot).snapshot
    except FileNotFoundError:  # the run ended before it changed anything
        return None


def _restored_before(document: Path) -> bool:
    try:
        return raw.read(document, raw.Restore).error is None
    except (FileNotFoundError, Problem):  # it never came to that, or was killed while it wrote
        return False
