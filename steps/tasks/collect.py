"""The rows of the run, from its raw documents into the store. Safe to repeat."""

from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps.catalogue.option_fields import shown_option
from steps.cluster.kube.workloads.manifests import LARGEST_STEP_MEMORY
from steps.documents import LATE
from steps.settings import environment
from steps.tasks.shared.artifacts import Artifact
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import RUN_FOLDER, document_artifact, log, own_run_id

_DOCUMENTS = Artifact("documents", RUN_FOLDER + "/", optional=True)


# Not repeatable: Argo's Retry would go on with a repeatable task that a Stop failed, at once and before the visits.
# Where its pod is lost, the exit handler collects.
@step("measure", deadline_s=1800, memory="2Gi", store=True)
def collect(documents: Annotated[Path | None, _DOCUMENTS]) -> None:
    """Store a row for each planned trial: measured, failed with its error, or not run."""
    store_rows(documents)


@step("measure", deadline_s=1800, memory=LARGEST_STEP_MEMORY, store=True, repeatable=True)
def recollect(
    documents: Annotated[Path | None, _DOCUMENTS],
    document: Annotated[Path, document_artifact(f"{RUN_FOLDER}/{LATE}")],
) -> None:
    """The same in the exit handler, for a run whose own collect never ran or ran too early.

    It keeps the evidence of the visit that was interrupted, for a run that Argo's Retry begins again.
    """
    from steps.collect.late_evidence import keep_late  # noqa: PLC0415 - as below

    keep_late(documents, document)
    store_rows(documents)


def store_rows(documents: Path | None) -> None:
    """Store the rows of a run's documents.

    Raises:
        Problem: there are no documents, or they are another run's or another environment's.
    """
    # imported here, since building the workflow imports this module and should not wait for Parquet
    from analysis.store.store import Store  # noqa: PLC0415
    from steps.collect.run_rows import run_rows  # noqa: PLC0415

    if documents is None or not (documents / "run.json").exists():
        raise Problem("There is nothing to collect: the run was refused or stopped before anything was measured.")
    run_id, here = own_run_id(), environment.environment()
    rows = run_rows(documents, run_id)
    if (measured := rows["runs"][0]["environment"]) != here:
        raise Problem(f"run.json is of environment {shown_option(str(measured))}, not of {here}: nothing is stored.")
    Store(environment.results()).write(run_id, rows)
    outcomes = [str(row["outcome"]) for row in rows["trials"]]
    log(", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes)) or "no trials")
