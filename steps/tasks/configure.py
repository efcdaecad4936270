"""Switch to a visit's dataplane."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from steps import documents
from steps.cluster import connect_cluster
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import VISIT_FOLDER, document, kept_on_failure, log, planned_visit


@step("switch", deadline_s=1800, repeatable=True)
def configure(
    settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + documents.CONFIGURE)]
) -> None:
    """Switch, and write the changes, how long they took, or why they failed."""
    chosen, planned = planned_visit(settings, visit)
    log(f"switching to {planned.dataplane}")
    kept = documents.Configure(visit=planned.visit, started_at=datetime.now(UTC))
    began = time.monotonic()
    with kept_on_failure(document, kept):
        changes = connect_cluster(chosen.environment).configure(planned, chosen)
    switch_s = time.monotonic() - began
    documents.write_document(document, kept.model_copy(update={"changes": tuple(changes), "switch_s": switch_s}))
    log(f"switched to {planned.dataplane} in {switch_s:.2f} s")
