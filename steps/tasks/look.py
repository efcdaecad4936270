"""After each round: what is decided, and which visits follow."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

from analysis.errors import BadInput, Problem
from steps import clock, documents
from steps.catalogue.options import Settings
from steps.cluster.kube.workloads.manifests import LARGEST_STEP_MEMORY
from steps.collect.decision import ComparisonProgress, decide, progress_of
from steps.collect.looks import Look, OffVisit, read_looks
from steps.run_documents import PlannedRun
from steps.settings import environment
from steps.settings.schedule import level_rounds
from steps.settings.settings import load_settings
from steps.tasks.preflight import level_outputs
from steps.tasks.shared.artifacts import Artifact, Outputs
from steps.tasks.shared.inputs import BY_ITS_OWN, checked_tag
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import RUN_FOLDER, document_artifact, log, own_run_id

ROUNDS: Final = "rounds"
STOP: Final = "stop"
"""The output `next`: whether rounds follow."""


@dataclass(frozen=True, kw_only=True)
class LookResult(Outputs):
    """What follows: `next`, and the visits, number and title of the next level. `reason`: why, as a sentence."""

    # the first one is what the UI shows without scrolling
    reason: str
    next: str
    visits: list[dict[str, str]]
    level: str
    title: str


@step("measure", deadline_s=1800, memory=LARGEST_STEP_MEMORY, store=True)
def look(
    settings: str,
    level: str,
    raw: Annotated[Path | None, Artifact("raw", RUN_FOLDER + "/", optional=True)],
    document: Annotated[Path, document_artifact(f"{RUN_FOLDER}/look-{checked_tag('level')}.json")],
) -> LookResult:
    """Compare what was measured so far; where that fails, the run goes on."""
    chosen, number = load_settings(settings), int(level)
    if number > 1 and not level_rounds(chosen, number - 1):
        raise BadInput(f"input level is {level}, and this run has fewer: {BY_ITS_OWN}.")
    if raw is None:
        raise Problem("No document of this run was found, so there is nothing to look at.")
    run = documents.read_document(raw / documents.RUN, PlannedRun)
    found = look_at(raw, chosen, own_run_id())
    ended_at, _ = clock.ended_at(run.started_at, run.started_mark, datetime.now(UTC), clock.clock_mark())
    decision = decide(
        chosen,
        number,
        found.progress,
        {each.visit: each.reason for each in found.off},
        measured=found.measured,
        elapsed_s=(elapsed_s := (ended_at - run.started_at).total_seconds()),
    )
    documents.write_document(
        document,
        Look(
            level=number,
            round=max(level_rounds(chosen, number), default=chosen.rounds),
            elapsed_s=elapsed_s,
            compared=found.progress.compared,
            decided=found.progress.decided,
            dropped=decision.dropped,
            off=found.off,
            visits=tuple(visit.visit for visit in decision.visits),
            stopped=decision.stopped,
            reason=decision.reason,
            error=found.error,
        ),
    )
    log(decision.reason)
    return LookResult(
        next=STOP if decision.stopped else ROUNDS,
        reason=decision.reason,
        **level_outputs(chosen, number + 1, decision.visits),
    )


@dataclass(frozen=True, slots=True)
class RunSoFar:
    """What the documents of a run say so far. `error`: why nothing could be compared."""

    progress: ComparisonProgress
    off: tuple[OffVisit, ...]
    measured: int
    error: str | None


def look_at(raw: Path, settings: Settings, run_id: str) -> RunSoFar:
    """Compare what was measured so far.

    Raises:
        Problem: the run's own document is missing or damaged.
    """
    # imported here, since building the workflow imports this module and should not wait for Parquet
    from steps.collect.comparing import compare_rows, off_visits  # noqa: PLC0415
    from steps.collect.run_rows import run_rows  # noqa: PLC0415

    rows = run_rows(raw, run_id)
    measured = sum(row["started_at"] is not None for row in rows["visits"])
    before = {off.visit for earlier in read_looks(raw) for off in earlier.off}
    off = tuple(OffVisit(visit=v, reason=why) for v, why in off_visits(rows).items() if v not in before)
    try:
        found, error = progress_of(compare_rows(rows, run_id, environment.results()), settings.dataplanes[0]), None
    except Problem as problem:
        log(f"nothing could be compared, so the run goes on: {problem}")
        found, error = ComparisonProgress(), str(problem)
    return RunSoFar(found, off, measured, error)
