"""The documents of the verbs plan and preflight."""

from collections.abc import Sequence
from typing import Final, Literal

from analysis.console.documents import DocumentModel, Grid, Item
from analysis.console.markdown import escape, table
from analysis.formatting import count
from steps.catalogue.options import Settings
from steps.domain import Finding, Trial, Visit
from steps.settings.remaining import remainder
from steps.settings.schedule import PlannedTime


class PlannedTrial(Item):
    """One planned measurement."""

    trial: int
    position: int
    """Within its visit."""
    repetition: int
    topology: str
    variant: str
    """What measures it, as options name it: tcp, udp, connect."""
    tool: str
    transport: str
    direction: str
    streams: int
    offered_bps: float | None
    """Null: as much as the path carries."""
    duration_s: int
    services: int
    """Unused ones beside the measured one."""
    endpoints: int
    """Of each of these."""
    policies: int
    churn_per_s: float
    """Endpoints that change in a second."""


class PlannedVisit(Item):
    """One planned stay in a dataplane."""

    visit: int
    round: int
    dataplane: str
    trials: tuple[PlannedTrial, ...]


class PlannedSeconds(Item):
    """How long the run takes on a quiet machine, and how many rounds that is."""

    least_s: float
    """It stops at its first look."""
    least_rounds: int
    expected_s: float
    expected_rounds: int
    most_s: float
    """It has all of its rounds, or spends its budget."""
    most_rounds: int


class PlanDocument(DocumentModel):
    """What a run would measure, in its order."""

    document: Literal["plan"] = "plan"
    version: Literal[1] = 1
    environment: str
    profile: str
    seed: int
    time: PlannedSeconds
    notes: tuple[str, ...]
    """What the verb says below its table, as sentences."""
    visits: tuple[PlannedVisit, ...]


class FindingItem(Item):
    """One reason why a run, or a part of it, is impossible here, and the remedy."""

    severity: Literal["stop", "skip", "warn"]
    """stop: nothing can run. skip: the subject is left out. warn: it is recorded."""
    subject: str
    reason: str
    remedy: str | None


class PreflightDocument(DocumentModel):
    """What prevents or disturbs a run here."""

    document: Literal["preflight"] = "preflight"
    version: Literal[1] = 1
    environment: str
    possible: bool
    """Whether a run can go on."""
    findings: tuple[FindingItem, ...]


_TRIAL: Final = tuple(PlannedTrial.model_fields)


def plan_document(
    settings: Settings, visits: Sequence[Visit], planned: PlannedTime, notes: Sequence[str]
) -> PlanDocument:
    """The document of a plan."""
    least, expected, most = planned.rounds
    return PlanDocument.of(
        settings,
        time=PlannedSeconds.of(planned, least_rounds=least, expected_rounds=expected, most_rounds=most),
        notes=tuple(notes),
        visits=tuple(PlannedVisit.of(visit, trials=tuple(map(_trial, visit.trials))) for visit in visits),
    )


def plan_grid(document: PlanDocument) -> Grid:
    """A row for each trial."""
    of_visit = ("visit", "round", "dataplane")
    return Grid(
        (*of_visit, *_TRIAL),
        (
            (*(getattr(visit, name) for name in of_visit), *(getattr(trial, name) for name in _TRIAL))
            for visit in document.visits
            for trial in visit.trials
        ),
    )


def plan_markdown(rows: Sequence[Sequence[str]], columns: Sequence[str], notes: Sequence[str]) -> str:
    """How long it takes, then the visits, which a page folds away."""
    visits = table([escape(name) for name in columns], (map(escape, row) for row in rows))
    fold = f"<details><summary>{count(len(rows), 'visit')} at most</summary>\n\n{visits}\n\n</details>"
    return "\n\n".join([*map(escape, notes), fold])


def preflight_document(settings: Settings, findings: Sequence[Finding]) -> PreflightDocument:
    """The document of the findings."""
    return PreflightDocument(
        environment=settings.environment,
        possible=remainder(settings, findings).is_possible,
        findings=tuple(map(FindingItem.of, findings)),
    )


def preflight_markdown(document: PreflightDocument, conclusion: str) -> str:
    """The conclusion, then the findings."""
    columns = ("", "what", "why", "what to do")
    rows = [[f.severity, *map(escape, (f.subject, f.reason, f.remedy or ""))] for f in document.findings]
    return "\n\n".join([f"**{escape(conclusion)}**", *([table(columns, rows)] if rows else [])])


def _trial(trial: Trial) -> PlannedTrial:
    return PlannedTrial.of(trial, variant=trial.variant.name, **trial.scale.model_dump())
