"""Leave a dataplane that was not proven, at once: where one node fell back, nodes can't reach each other."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from hera.workflows import S3Artifact

from analysis.errors import Problem
from steps import raw
from steps.cluster import connect
from steps.tasks.common import VISIT_FOLDER, document, ends_in_a_sentence, planned, say
from steps.tasks.pod import step


@step("switch", deadline_s=1800, repeatable=True)
@ends_in_a_sentence
def retreat(
    settings: str,
    visit: str,
    settled: Annotated[Path | None, S3Artifact(name="settled", key=VISIT_FOLDER + "/" + raw.SETTLE, optional=True)],
    document: Annotated[Path, document(VISIT_FOLDER + "/" + raw.RETREAT)],
) -> None:
    """Back to what ran before the run. What can't be had here at all is not tried again by later visits."""
    leave(settings, visit, settled, document)


def leave(settings: str, visit: str, settled: Path | None, document: Path) -> None:
    """Leave a visit's dataplane, and keep what was done.

    Args:
        settings: of the run, as JSON.
        visit: its number.
        settled: what the step before kept of its failure, if it came to it.
        document: where to keep it.
    """
    chosen, going = planned(settings, visit)
    kept = raw.Configure(visit=going.visit, started_at=datetime.now(UTC))
    began = time.monotonic()
    try:
        changes = connect(chosen.environment).retreat(going, _for_good(settled))
    except Problem as problem:
        raw.write(document, kept.model_copy(update={"error": str(problem)}))
        raise
    raw.write(document, kept.model_copy(update={"changes": tuple(changes), "switch_s": time.monotonic() - began}))
    say(f"left {going.dataplane}, which is not proven" if changes else "there was nothing to leave")


def _for_good(settled: Path | None) -> str | None:
    """Why settling could not have come to a proof however long it had waited; None: it might have."""
    try:
        found = raw.read(settled, raw.Evidence) if settled else None
    except (FileNotFoundError, Problem):  # the step was killed before it could say why
        return None
    return found.error if found is not None and found.final else None
