"""What the run says: its verdict beside its rows, and the report."""

import json
from pathlib import Path
from typing import Annotated

from hera.workflows import NoneArchiveStrategy, Parameter, S3Artifact
from hera.workflows.io import Output

from steps.catalogue.options import method
from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.kube.workloads.manifests import LARGEST_STEP_MEMORY
from steps.settings import environment
from steps.tasks._pod import step
from steps.tasks._step import RUN, ends_in_a_sentence, say


class ReportResult(Output):
    """The answer in a sentence, and what came of the run: measured, measured-with-failures or nothing-measured.

    `regression`: what is worse than in the nights before, in a sentence; empty where nothing is, or in no nightly run.
    `figures`: the key ones by name, as JSON, from which Argo makes its metrics.
    """

    headline: Annotated[str, Parameter(name="headline")]
    outcome: Annotated[str, Parameter(name="outcome")]
    regression: Annotated[str, Parameter(name="regression")]
    figures: Annotated[str, Parameter(name="figures")]


@step("measure", deadline_s=1800, memory=LARGEST_STEP_MEMORY, store=True, repeatable=True)
@ends_in_a_sentence
def report(
    run_id: Annotated[str, Parameter(name="run-id")],
    document: Annotated[
        Path,
        S3Artifact(name="report", key=f"reports/{RUN}/report.html", archive=NoneArchiveStrategy(), output=True),
    ],
) -> ReportResult:
    """Analyse the rows; write the report into the store, and as the artifact that the UI shows."""
    # Here and not above, since building the workflow imports this module and should not wait for charts.
    from analysis import memory  # noqa: PLC0415

    memory.require()  # before libraries are loaded, which under a limit fail in ways of their own
    from analysis.report import render  # noqa: PLC0415
    from analysis.sql import database  # noqa: PLC0415
    from analysis.store.left_out import sentences  # noqa: PLC0415
    from analysis.store.store import Store  # noqa: PLC0415
    from analysis.summary import key_metrics, stored, summary  # noqa: PLC0415

    store = Store(environment.results())
    with database.connect(store, run_id=run_id, asking="") as con:
        for sentence in sentences(database.left_out(con)):
            say(sentence)
        said = summary.summarise(con, run_id, method)
        html = render(con, run_id, said)
        key = key_metrics.key_figures(con, run_id, {topology.name: topology.direction for topology in TOPOLOGIES})
        stored.store_summary(store, said)
    store.write_report(run_id, html, latest=True)
    document.write_text(html, encoding="utf-8")
    say(said.headline)
    return ReportResult(headline=said.headline, outcome=said.outcome, regression=said.failing, figures=json.dumps(key))
