"""The cluster's state before the first change, from which the exit handler, or a later run, restores it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from steps import documents
from steps.cluster import connect_cluster
from steps.run_documents import SnapshotDocument
from steps.settings.settings import load_settings
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import RUN_FOLDER, document_artifact


@step("switch", deadline_s=300, repeatable=True)
def snapshot(
    settings: str, document: Annotated[Path, document_artifact(RUN_FOLDER + "/" + documents.SNAPSHOT)]
) -> None:
    """Take the cluster's lock, and write every object that configure may change, and which of them are absent."""
    cluster = connect_cluster(load_settings(settings).environment)
    documents.write_document(document, SnapshotDocument(taken_at=datetime.now(UTC), snapshot=cluster.snapshot()))
