"""Switch to a visit's dataplane, and keep what was done, how long it took, or why it failed."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import raw
from steps.cluster import connect
from steps.tasks.common import VISIT_FOLDER, document, ends_in_a_sentence, planned, say
from steps.tasks.pod import step


@step("switch", deadline_s=1800, repeatable=True)
@ends_in_a_sentence
def configure(
    settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + raw.CONFIGURE)]
) -> None:
    """Make the cluster's dataplane the visit's."""
    chosen, going = planned(settings, visit)
    say(f"switching to {going.dataplane}")
    kept = raw.Configure(visit=going.visit, started_at=datetime.now(UTC))
    began = time.monotonic()
    try:
        changes = connect(chosen.environment).configure(going, chosen)
    except Problem as problem:
        raw.write(document, kept.model_copy(update={"error": str(problem)}))
        raise
    switch_s = time.monotonic() - began
    raw.write(document, kept.model_copy(update={"changes": tuple(changes), "switch_s": switch_s}))
    say(f"switched to {going.dataplane} in {switch_s:.2f} s")
