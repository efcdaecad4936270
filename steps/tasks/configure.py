"""Switch to a visit's dataplane, and keep what was done, how long it took, or why it failed."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.cluster import connect_cluster
from steps.tasks._pod import step
from steps.tasks._step import VISIT_FOLDER, document, ends_in_a_sentence, planned_visit, say


@step("switch", deadline_s=1800, repeatable=True)
@ends_in_a_sentence
def configure(
    settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + documents.CONFIGURE)]
) -> None:
    """Make the cluster's dataplane the visit's."""
    chosen, going = planned_visit(settings, visit)
    say(f"switching to {going.dataplane}")
    kept = documents.Configure(visit=going.visit, started_at=datetime.now(UTC))
    began = time.monotonic()
    try:
        changes = connect_cluster(chosen.environment).configure(going, chosen)
    except Problem as problem:
        documents.write_document(document, kept.model_copy(update={"error": str(problem)}))
        raise
    switch_s = time.monotonic() - began
    documents.write_document(document, kept.model_copy(update={"changes": tuple(changes), "switch_s": switch_s}))
    say(f"switched to {going.dataplane} in {switch_s:.2f} s")
