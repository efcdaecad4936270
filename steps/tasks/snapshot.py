"""What is there before the first change, kept where the exit handler, or a later run, finds it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from steps import raw
from steps.cluster import connect
from steps.settings import load
from steps.tasks.common import RUN_FOLDER, document, ends_in_a_sentence
from steps.tasks.pod import step


@step("observe", deadline_s=300, repeatable=True)
@ends_in_a_sentence
def snapshot(settings: str, document: Annotated[Path, document(RUN_FOLDER + "/" + raw.SNAPSHOT)]) -> None:
    """Keep every object and absence that configure may touch."""
    cluster = connect(load(settings).environment)
    raw.write(document, raw.Snapshot(taken_at=datetime.now(UTC), snapshot=cluster.snapshot()))
