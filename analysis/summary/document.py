"""The result of a run as a document for other programs: the answer, the comparisons, the changes, and what failed."""

import math
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel

from analysis.console.documents import DocumentModel, Grid, grid_of
from analysis.stats.comparison import Comparison, Verdict
from analysis.stats.path_metric import PathMetric
from analysis.stats.regressions import LevelChange, Status
from analysis.summary import at_scale, wording
from analysis.summary.answer import Answer
from analysis.summary.at_scale import CurveLine
from analysis.summary.standings import Standing
from analysis.summary.summary import Outcome, Summary
from analysis.summary.traffic import Claim, TrafficKind


class _Item(BaseModel):
    model_config = DocumentModel.model_config


class Dataplane(_Item):
    """A dataplane that was measured."""

    name: str
    title: str


class StandingItem(_Item):
    """A dataplane on a kind of traffic."""

    dataplane: str
    standing: Standing
    """By the leading metric, against the best of the row."""
    claim: Claim
    """What may be said of it over all metrics of the table; undecided where not every dataplane was measured."""
    texts: tuple[str, ...]
    """As the report has it: a line for each metric that must be named."""


class KindItem(_Item):
    """A kind of traffic, and how each dataplane stands."""

    kind: str
    path: str
    topology: str
    tool: str
    transport: str
    direction: str
    dataplanes: tuple[StandingItem, ...]


class CostItem(_Item):
    """What the move to each dataplane costs, by the dataplane's name."""

    cost: str
    texts: dict[str, str]


class AnswerItem(_Item):
    """The table of the answer, and how sure it is."""

    kinds: tuple[KindItem, ...]
    costs: tuple[CostItem, ...]
    how_sure: str
    undecided: int
    """How many comparisons leave a figure of the table undecided."""
    advice: str
    """What would settle them; empty where nothing is undecided."""
    command: str
    """That measures more rounds; empty where none would help."""
    notes: tuple[str, ...]
    scale: str
    """The scale that the table is of, the run's largest; empty in a run of one scale."""


class _PathItem(_Item):
    metric: str
    """By its name in docs/reference.md."""
    metric_title: str
    unit: str
    """Of the two values, SI."""
    scale: Literal["ratio", "points"]
    """ratio: `change` 0.72 is 72 % more. points: `change` is a difference in `unit`."""
    better: Literal["higher", "lower"]
    topology: str
    tool: str
    transport: str
    direction: str
    services: int
    """Unused Services while it was measured."""
    endpoints: int
    """Of each of them."""
    policies: int
    """NetworkPolicies on the measured pods that match nothing."""
    churn_per_s: float
    """Endpoints changed per second."""
    path: str
    """As the report names it."""


class ComparisonItem(_PathItem):
    """A dataplane against another. A figure that is not known is null."""

    dataplane: str
    baseline: str
    against_baseline: bool
    """Whether `baseline` is the run's, with which all others are compared."""
    baseline_value: float | None
    value: float | None
    change: float | None
    low: float | None
    """The lower end of the interval of `change`; null: there is no interval, or no such end."""
    high: float | None
    verdict: Verdict
    """higher, lower: the interval leaves zero out. same: it lies within the margin."""
    margin_ratio: float
    """How much counts as the same, on the scale of `change`."""
    p_adjusted: float | None
    rounds: int
    """In how many both were measured."""
    flagged: bool
    """Whether trials with flags are in the figures or were left out of them."""
    text: str


class ChangeItem(_PathItem):
    """A figure that is at another level than in the nights before."""

    dataplane: str
    against: str | None
    """The baseline to which the levels are relative; null: they are absolute, in `unit`."""
    status: Status
    run_id: str
    """The first night of the new level."""
    began_at: datetime | None
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    flagged: bool
    text: str


class CurvePointItem(_Item):
    """A figure at one scale of a curve. A figure that is not known is null."""

    at: float
    """How much of the factor."""
    value: float | None
    change: float | None
    """From the first point; the interval is its own."""
    low: float | None
    high: float | None
    visits: int
    """In how many both were measured."""
    flagged: bool


class CurveItem(_PathItem):
    """A figure of one dataplane along one factor of the scale; the scale beside its path is that of the first point."""

    dataplane: str
    factor: str
    """The field of the scale that varies."""
    fixed: str
    """The other factors that vary in the run, in words."""
    margin_ratio: float
    points: tuple[CurvePointItem, ...]
    since: float | None
    """The smallest value of the factor from which on all surely differ from the first point; null: there is none."""
    until: float | None
    """The largest one below it up to which all are the same within the margin."""
    text: str


class FailureItem(_Item):
    """A reason, and the number of trials that it stopped; 0 where it failed a visit after its trials."""

    reason: str
    trials: int
    where: tuple[str, ...]


class SkippedItem(_Item):
    """A dataplane or a topology that was requested and left out."""

    name: str
    title: str
    reason: str


class FlagItem(_Item):
    """A flag, and how many trials have it."""

    flag: str
    trials: int
    meaning: str


class RunDocument(DocumentModel):
    """The result of a run, as the verbs run and report print it."""

    document: Literal["run"] = "run"
    version: Literal[1] = 1
    run_id: str
    environment: str
    outcome: Outcome
    interrupted: bool
    """Whether it ended before it began every trial."""
    headline: str
    notice: str | None
    """What is missing, and what makes the run doubtful."""
    regression: str | None
    """What is worse than in earlier nights by the limit or more."""
    baseline: str | None
    rounds: int
    trials: int
    trials_measured: int
    trials_failed: int
    trials_not_run: int
    dataplanes: tuple[Dataplane, ...]
    answer: AnswerItem | None
    """Null where nothing was compared."""
    comparisons: tuple[ComparisonItem, ...]
    changes: tuple[ChangeItem, ...]
    curves: tuple[CurveItem, ...]
    """How each figure moves with the scale; none in a run of one scale."""
    at_scale: tuple[str, ...]
    """The same in sentences, the surest change first."""
    failures: tuple[FailureItem, ...]
    skipped: tuple[SkippedItem, ...]
    flags: tuple[FlagItem, ...]
    disclaimer: str | None
    report: str
    """The address of the report."""


_PATH: Final = tuple(_PathItem.model_fields)


def run_document(summary: Summary, report: str) -> RunDocument:
    """The document of a run, whose report is at this address."""
    answer, groups = summary.answer, at_scale.groups_of(summary)
    return RunDocument(
        run_id=summary.run_id,
        environment=summary.environment,
        outcome=summary.outcome,
        interrupted=summary.interrupted,
        headline=summary.headline,
        notice=summary.notice,
        regression=summary.alarm or None,
        baseline=summary.baseline,
        rounds=summary.rounds,
        trials=summary.trials,
        trials_measured=summary.trials_measured,
        trials_failed=summary.trials_failed,
        trials_not_run=summary.trials_not_run,
        dataplanes=tuple(Dataplane(name=side.name, title=side.title) for side in answer.sides) if answer else (),
        answer=_answer(answer) if answer and answer.kinds else None,
        comparisons=tuple(map(_comparison, summary.comparisons)),
        changes=tuple(map(_change, summary.changes)),
        curves=tuple(_curve(line) for group in groups for line in group.lines),
        at_scale=tuple(group.sentence for group in groups),
        failures=tuple(FailureItem(reason=f.reason, trials=f.count, where=f.where) for f in summary.failures),
        skipped=tuple(SkippedItem(**asdict(skipped)) for skipped in summary.skipped),
        flags=tuple(FlagItem(**asdict(flag)) for flag in summary.flags),
        disclaimer=summary.disclaimer,
        report=report,
    )


def comparison_grid(document: RunDocument) -> Grid:
    """A row for each comparison of a run, which every row names."""
    return grid_of(ComparisonItem, document.comparisons, run_id=document.run_id, environment=document.environment)


def _answer(answer: Answer) -> AnswerItem:
    names, certainty = [side.name for side in answer.sides], answer.certainty
    return AnswerItem(
        kinds=tuple(_kind(answer, kind) for kind in answer.kinds),
        costs=tuple(
            CostItem(cost=name, texts=dict(zip(names, texts, strict=True))) for name, texts in wording.cost_rows(answer)
        ),
        how_sure=certainty.basis,
        undecided=certainty.undecided,
        advice=certainty.advice,
        command=certainty.command,
        notes=answer.notes,
        scale=answer.scale,
    )


def _kind(answer: Answer, kind: TrafficKind) -> KindItem:
    return KindItem(
        kind=kind.title,
        path=kind.path,
        **{name: getattr(kind.measured, name) for name in ("topology", "tool", "transport", "direction")},
        dataplanes=tuple(
            StandingItem(
                dataplane=cell.dataplane,
                standing=cell.standing,
                claim=kind.claim(cell.dataplane),
                texts=tuple(line.text for line in wording.cell_lines(answer, cell)),
            )
            for cell in kind.cells
        ),
    )


def _comparison(c: Comparison) -> ComparisonItem:
    return ComparisonItem(
        **_path(c),
        **{name: getattr(c, name) for name in ("dataplane", "baseline", "against_baseline", "verdict", "rounds")},
        **{name: _finite(getattr(c, name)) for name in ("baseline_value", "value", "change", "low", "high")},
        margin_ratio=c.margin_ratio,
        p_adjusted=c.p_adjusted,
        flagged=bool(c.doubts.mark),
        text=c.answer,
    )


def _change(change: LevelChange) -> ChangeItem:
    names = ("dataplane", "against", "status", "run_id", "began_at", "before", "after", "change")
    return ChangeItem(
        **_path(change),
        **{name: getattr(change, name) for name in names},
        low=_finite(change.low),
        high=_finite(change.high),
        flagged=change.nights_flagged > 0,
        text=change.extent,
    )


def _curve(line: CurveLine) -> CurveItem:
    curve, bend = line.curve, line.curve.bend
    return CurveItem(
        **_path(curve),
        **{name: getattr(curve, name) for name in ("dataplane", "factor", "fixed", "margin_ratio")},
        points=tuple(
            CurvePointItem(
                at=point.at,
                visits=point.visits,
                flagged=bool(point.doubt.mark),
                **{name: _finite(getattr(point, name)) for name in ("value", "change", "low", "high")},
            )
            for point in curve.values
        ),
        since=bend.since if bend else None,
        until=bend.until if bend else None,
        text=line.answer,
    )


def _path(metric: PathMetric) -> dict[str, Any]:
    return {name: getattr(metric, name) for name in _PATH}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
