"""What the run says: its verdict beside its rows, and the report."""

import json
from pathlib import Path
from typing import Annotated

from hera.workflows import NoneArchiveStrategy, Parameter, S3Artifact
from hera.workflows.io import Output

from steps import variables
from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.kube.pods import LARGEST_STEP_MEMORY
from steps.tasks.common import RUN, ends_in_a_sentence, say
from steps.tasks.pod import step


class Said(Output):
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
) -> Said:
    """Analyse the rows; write the report into the store, and as the artifact that the UI shows."""
    # Here and not above, for whoever builds the workflow imports this module and should not wait for charts.
    from analysis import memory  # noqa: PLC0415

    memory.require()  # before libraries are loaded, which under a limit fail in ways of their own
    from analysis import database, figures, summary, verdict  # noqa: PLC0415
    from analysis.integrity.left_out import sentences  # noqa: PLC0415
    from analysis.report import render  # noqa: PLC0415
    from analysis.store import Store  # noqa: PLC0415

    store = Store(variables.results())
    with database.connect(store, run_id=run_id, asking="") as con:
        for sentence in sentences(database.left_out(con)):
            say(sentence)
        said = summary.summarise(con, run_id)
        html = render(con, run_id, said)
        key = figures.key_figures(con, run_id, {topology.name: topology.direction for topology in TOPOLOGIES})
        verdict.keep(store, said)
    store.write_report(run_id, html, latest=True)
    document.write_text(html, encoding="utf-8")
    say(said.headline)
    return Said(headline=said.headline, outcome=said.outcome, regression=said.failing, figures=json.dumps(key))
