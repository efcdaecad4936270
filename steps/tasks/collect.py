"""The rows of the run, from its raw documents into the store. Writing twice is writing once."""

from pathlib import Path
from typing import Annotated

from hera.workflows import S3Artifact

from analysis.errors import Problem
from steps.cluster.kube.workloads.manifests import LARGEST_STEP_MEMORY
from steps.settings import environment
from steps.tasks._pod import step
from steps.tasks._step import RUN_FOLDER, ends_in_a_sentence, say

_DOCUMENTS = S3Artifact(name="documents", key=RUN_FOLDER + "/", optional=True)


# Not repeatable: to Argo's Retry a repeatable task that a Stop has failed is one that has begun, so that it would go on
# with it at once, before the visits. Where its pod is lost, the exit handler collects.
@step("measure", deadline_s=1800, memory="2Gi", store=True)
@ends_in_a_sentence
def collect(documents: Annotated[Path | None, _DOCUMENTS]) -> None:
    """Each planned trial becomes a row: measured, failed with its error, or not run."""
    store_rows(documents)


@step("measure", deadline_s=1800, memory=LARGEST_STEP_MEMORY, store=True, repeatable=True)
@ends_in_a_sentence
def recollect(documents: Annotated[Path | None, _DOCUMENTS]) -> None:
    """The same in the exit handler, for a run that did not come to it or that measured more since."""
    store_rows(documents)


def store_rows(documents: Path | None) -> None:
    """Write the rows of a run's documents.

    Raises:
        Problem: there are no documents.
    """
    # Here and not above, since building the workflow imports this module and should not wait for Parquet.
    from analysis.store.store import Store  # noqa: PLC0415
    from steps.collect import run_rows as collecting  # noqa: PLC0415

    if documents is None or not (documents / "run.json").exists():
        raise Problem("There is nothing to collect: the run was refused before anything was measured.")
    rows = collecting.run_rows(documents)
    (run,) = rows["runs"]
    Store(environment.results()).write(str(run["run_id"]), rows)
    outcomes = [str(row["outcome"]) for row in rows["trials"]]
    say(", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes)) or "no trials")
