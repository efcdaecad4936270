"""The run's verdict, stored beside its rows, and its report."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from analysis.console.sanitizing import strip_controls
from analysis.errors import Problem
from steps.catalogue.options import method
from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.kube.workloads.manifests import LARGEST_STEP_MEMORY
from steps.settings import environment
from steps.tasks.shared.artifacts import Artifact, Outputs
from steps.tasks.shared.pod import FromConfigMap, step
from steps.tasks.shared.step import RUN, log, own_run_id

if TYPE_CHECKING:
    from analysis.store.store import Store


@dataclass(frozen=True, kw_only=True)
class ReportResult(Outputs):
    """The result in a sentence, and the outcome: measured, measured-with-failures or nothing-measured.

    `regression`: what is worse than in earlier nights, as a sentence; empty if nothing is, or if the run is no nightly.
    `figures`: the key figures by name, as JSON, from which Argo makes its metrics.
    """

    headline: str
    outcome: str
    regression: str
    figures: str


@step(
    "measure",
    deadline_s=1800,
    memory=LARGEST_STEP_MEMORY,
    store=True,
    repeatable=True,
    env=(FromConfigMap(environment.SITE),),
)
def report(
    document: Annotated[Path, Artifact("report", f"reports/{RUN}/report.html", output=True)],
) -> ReportResult:
    """Analyse the rows; write the report and its answer into the store, and the report as the artifact of the UI."""
    # imported here, since building the workflow imports this module and should not wait for charts
    from analysis import memory  # noqa: PLC0415

    run_id = own_run_id()
    memory.require()  # before loading libraries, which fail in obscure ways under a memory limit
    from analysis.report import Pages, render_pages  # noqa: PLC0415
    from analysis.sql import database  # noqa: PLC0415
    from analysis.store.index.left_out import sentences  # noqa: PLC0415
    from analysis.store.index.selection import beside  # noqa: PLC0415
    from analysis.store.store import Store  # noqa: PLC0415
    from analysis.summary.run import key_metrics, markdown, stored, summary  # noqa: PLC0415

    store = Store(environment.results())

    def analyse() -> tuple[summary.Summary, Pages, dict[str, float]]:
        with database.connect(store, run_id=run_id, asking="", choice=beside(run_id)) as con:
            for sentence in sentences(database.left_out(con)):
                log(sentence)
            found = summary.summarise(con, run_id, method)
            directions = {topology.name: topology.direction for topology in TOPOLOGIES}
            return found, render_pages(con, run_id, found), key_metrics.key_figures(con, found, directions)

    found, pages, key = database.with_sound_files(store, analyse)
    stored.store_summary(store, found)
    text = markdown.to_markdown(found, store.location(f"reports/{run_id}/report.html"))
    store.write_report(run_id, pages.files | {"summary.md": text}, latest=True)
    document.write_text(pages.report, encoding="utf-8")
    log(found.headline)
    if place := os.environ.get(environment.SITE, "").strip():
        _bring_up_to_date(store, place)
    return ReportResult(
        headline=strip_controls(found.headline),
        outcome=found.outcome,
        regression=strip_controls(found.failing),
        figures=json.dumps(key),
    )


def _bring_up_to_date(store: "Store", place: str) -> None:
    """Write the pages of the site that the run has changed, to an address or BESIDE.

    Why they can't be is a line of the log: the run's report is stored.
    """
    # imported here, since no other deployment should wait for it
    import duckdb  # noqa: PLC0415

    from analysis import site  # noqa: PLC0415
    from analysis.store.storage.object_storage import ObjectStorage  # noqa: PLC0415
    from steps.settings.compared import COMPARED  # noqa: PLC0415

    try:
        files = store.files.below(site.FOLDER) if place == environment.BESIDE else ObjectStorage(place)
        written = site.write_site(store, files, COMPARED)
    except (Problem, duckdb.Error) as error:
        log(f"The site can't be brought up to date: {error}")
        return
    for notice in written.notices:
        log(notice)
    log(f"Site {files.address('index.html')}: {written.sentence}")
