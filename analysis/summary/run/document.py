"""The result of a run as a document for other programs: the answer, the comparisons, the changes, and what failed."""

import math
from dataclasses import asdict
from typing import Any, Final

from analysis.console.documents import Grid, grid_of
from analysis.stats.nights.regressions import LevelChange
from analysis.stats.path_metric import PathMetric
from analysis.stats.verdicts.comparison import Comparison
from analysis.summary.answer import wording
from analysis.summary.answer.answer import Answer
from analysis.summary.figures.traffic import TrafficKind
from analysis.summary.run import at_scale
from analysis.summary.run.at_scale import CurveLine
from analysis.summary.run.run_models import (
    AnswerItem,
    ChangeItem,
    ComparisonItem,
    CostItem,
    CurveItem,
    CurvePointItem,
    Dataplane,
    FailureItem,
    FlagItem,
    KindItem,
    PathItem,
    ProgrammingItem,
    RunDocument,
    SkippedItem,
    StandingItem,
)
from analysis.summary.run.summary import Summary

_PATH: Final = tuple(PathItem.model_fields)


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
        programming=tuple(ProgrammingItem(**asdict(times)) for times in summary.programming),
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
