"""What is there before the first change, kept where the exit handler, or a later run, finds it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from steps import documents
from steps.cluster import connect_cluster
from steps.settings.settings import load_settings
from steps.tasks._pod import step
from steps.tasks._step import RUN_FOLDER, document, ends_in_a_sentence


@step("switch", deadline_s=300, repeatable=True)
@ends_in_a_sentence
def snapshot(settings: str, document: Annotated[Path, document(RUN_FOLDER + "/" + documents.SNAPSHOT)]) -> None:
    """Take the cluster's lock, and keep every object and absence that configure may touch."""
    cluster = connect_cluster(load_settings(settings).environment)
    documents.write_document(document, documents.Snapshot(taken_at=datetime.now(UTC), snapshot=cluster.snapshot()))
