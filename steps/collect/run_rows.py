"""From the raw documents of a run to the rows of the four tables.

Every trial that was due becomes a row: measured; failed, with its reason; or not-run. Visits that became unnecessary,
since all was decided before, were not due. A missing or damaged document becomes an error in the rows that depend on
it.
"""

from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, cast

from analysis.domain import DEALT
from analysis.errors import Problem
from steps import clock, documents
from steps.catalogue import profiles, tools
from steps.catalogue.factors import FACTORS, of_none
from steps.catalogue.topologies import TOPOLOGIES
from steps.collect import Row, fitting
from steps.collect.late_evidence import read_late
from steps.collect.looks import due_visits, flag_off_visits, look_parameters, read_looks
from steps.collect.trial_rows import sample_rows, trial_row
from steps.collect.visit_record import read_visit
from steps.collect.visit_rows import visit_row
from steps.domain import Trial, Visit
from steps.proof import return_path
from steps.run_documents import PlannedRun
from steps.settings import schedule, turn_order
from steps.tools import bounds

_READING_BYTES: Final = 262_144
"""More than the counters of two nodes of 256 cores take at one moment."""

_MOST_TRIAL_BYTES: Final = 256 * 1024 * 1024
"""The largest document of a trial that a step has the memory to read, unpacked."""


def run_rows(
    raw_directory: Path, run_id: str | None = None, *, collected_at: datetime | None = None
) -> dict[str, list[Row]]:
    """The rows of `runs`, `visits`, `trials` and `samples` from a run's documents.

    `run_id`: the run that the documents must be of; None: any. `collected_at`: becomes `finished_at`; now by default.

    Raises:
        Problem: run.json is missing, damaged or of another run.
    """
    run = _run(raw_directory)
    if run_id not in {None, run.run_id}:
        raise Problem(f"{documents.RUN} is of run {run.run_id}, not of {run_id}, so nothing of it is stored")
    preflight, doubt = _preflight(raw_directory, run)
    late = read_late(raw_directory)
    planned = preflight.visits if preflight is not None else schedule.make_schedule(run.settings)
    looks = read_looks(raw_directory)

    def is_reached(visit: Visit) -> bool:
        return (raw_directory / documents.visit_directory(visit.visit)).is_dir()

    tables: dict[str, list[Row]] = {"runs": [], "visits": [], "trials": [], "samples": []}
    for visit in due_visits(run.settings, planned, looks, is_reached):
        record = read_visit(raw_directory / documents.visit_directory(visit.visit), visit, doubt, late.get(visit.visit))
        tables["visits"].append({"run_id": run.run_id, **visit_row(record)})
        rows: list[Row] = []
        # the documents of one topology alone are in memory at one time
        for _, group in groupby(sorted(visit.trials, key=turn_order.step_of), turn_order.step_of):
            found = [(trial, *_trial(raw_directory, visit, trial, run.settings.omit_s)) for trial in group]
            measured = [(trial, document) for trial, document, _ in found if document is not None]
            doubted = return_path.of_siblings(measured, visit.dataplane)
            for trial, document, fault in found:
                row = trial_row(trial, document, fault, record, doubted)
                rows.append({"run_id": run.run_id, **row})
                if document is not None and row["outcome"] == "measured":
                    tables["samples"] += [{"run_id": run.run_id, **row} for row in sample_rows(document)]
        tables["trials"] += sorted(rows, key=itemgetter("trial"))
    flag_off_visits(tables["trials"], planned, looks)
    tables["runs"].append(_run_row(run, preflight, collected_at))
    cast("Row", tables["runs"][0]["parameters"]).update(look_parameters(planned, looks), planned_visits=len(planned))
    fitting.fit(tables, run.run_id)
    return tables


def _run(directory: Path) -> PlannedRun:
    try:
        return documents.read_document(directory / documents.RUN, PlannedRun)
    except FileNotFoundError:
        raise Problem(f"{directory / documents.RUN} is missing, so it is unknown what this run was") from None


def _preflight(directory: Path, run: PlannedRun) -> tuple[documents.Preflight | None, str | None]:
    """What preflight found, or why that is unknown."""
    try:
        found = documents.read_document(directory / documents.PREFLIGHT, documents.Preflight)
    except FileNotFoundError:
        return None, "the run ended before its preflight did"
    except Problem as problem:
        return None, str(problem)
    # The plan follows from the settings and what preflight left out, so it is made again and compared.
    left_out = {finding.subject for finding in found.findings if finding.severity == "skip"}
    found = found.model_copy(update={"visits": schedule.with_scales(found.visits, run.settings)})
    if not schedule.is_plan(found.visits, schedule.without_dataplanes(run.settings, left_out)):
        return None, f"{documents.PREFLIGHT} is damaged: its visits are not those that were planned"
    return found, None


def most_bytes(trial: Trial, omit_s: int) -> int:
    """The largest document of a trial, unpacked: its programs' outputs and the counters read meanwhile."""
    seconds = trial.duration_s + omit_s
    each = bounds.output_bytes(seconds, trial.streams, 0.5) + round(seconds / 0.5 + 1) * _READING_BYTES
    return min(_MOST_TRIAL_BYTES, documents.MOST_BYTES + documents.ATTEMPTS * each)


def _trial(
    directory: Path, visit: Visit, trial: Trial, omit_s: int
) -> tuple[documents.TrialDocument | None, str | None]:
    """A trial's document, or why it can't be used; neither where the trial never ran."""
    path = (
        directory
        / documents.visit_directory(visit.visit)
        / turn_order.step_of(trial)
        / documents.trial_name(trial.trial)
    )
    try:
        document = documents.read_document(path, documents.TrialDocument, most_bytes(trial, omit_s))
    except FileNotFoundError:
        return None, None
    except Problem as problem:
        return None, str(problem)
    if document.trial != trial:
        return None, f"{path.name} is of another trial than was planned"
    return document, None


def _run_row(
    run: PlannedRun,
    preflight: documents.Preflight | None,
    collected_at: datetime | None,
) -> Row:
    settings = run.settings
    now = clock.clock_mark() if collected_at is None else None
    finished_at, doubt = clock.ended_at(run.started_at, run.started_mark, collected_at or datetime.now(UTC), now)
    found = [*(preflight.findings if preflight is not None else ()), *([doubt] if doubt else [])]
    findings = [f.model_dump(mode="json") for f in found]
    parameters: Row = {
        **settings.model_dump(mode="json"),
        "dataplanes": [shown.model_dump() for shown in run.dataplanes],
        "tools": [
            {
                "name": name,
                "title": variant.title,
                "tool": tool.name,
                "transport": variant.transport,
                "figures": variant.figures,
            }
            for name, (tool, variant) in tools.VARIANTS.items()
            if any(cell.variant is variant for cell in settings.cells)
        ],
        "topologies": [
            {"name": topology.name, "title": topology.title, "host_network": topology.host_network}
            for topology in TOPOLOGIES
            if any(cell.topology == topology.name for cell in settings.cells)
        ],
        "factors": [
            {"name": name, "title": factor.title, "unit": factor.unit, "axis": factor.axis, "none": of_none(name)}
            for name, factor in FACTORS.items()
        ],
        **({DEALT: True} if profiles.is_dealt(settings.profile) else {}),
        "findings": findings,
        "skipped": [f for f in findings if f["severity"] == "skip"],
    }
    return {
        "run_id": run.run_id,
        "workflow_uid": run.workflow_uid or None,
        "started_at": run.started_at,
        "finished_at": finished_at,
        "environment": settings.environment,
        "trigger": run.trigger,
        "seed": settings.seed,
        "parameters": parameters,
        "provenance": preflight.provenance if preflight is not None else None,
    }
