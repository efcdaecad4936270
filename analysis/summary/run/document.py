"""The result of a run as a document for other programs: the answer, the comparisons, the changes, and what failed."""

from analysis.console.documents import Grid, grid_of
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
    FailureItem,
    KindItem,
    ProgrammingItem,
    RunDocument,
    StandingItem,
)
from analysis.summary.run.summary import Summary


def run_document(summary: Summary, report: str) -> RunDocument:
    """The document of a run, whose report is at this address."""
    answer, groups = summary.answer, at_scale.groups_of(summary)
    return RunDocument.of(
        summary,
        regression=summary.alarm or None,
        dataplanes=answer.sides if answer else (),
        answer=_answer(answer) if answer and answer.kinds else None,
        comparisons=tuple(
            ComparisonItem.of(c, flagged=bool(c.doubts.mark), text=c.answer) for c in summary.comparisons
        ),
        changes=tuple(ChangeItem.of(c, flagged=c.nights_flagged > 0, text=c.extent) for c in summary.changes),
        curves=tuple(_curve(line) for group in groups for line in group.lines),
        at_scale=tuple(group.sentence for group in groups),
        programming=tuple(ProgrammingItem.of(times, flagged=bool(times.doubt.mark)) for times in summary.programming),
        failures=tuple(FailureItem.of(failure, trials=failure.count) for failure in summary.failures),
        report=report,
    )


def comparison_grid(document: RunDocument) -> Grid:
    """A row for each comparison of a run, which every row names."""
    return grid_of(ComparisonItem, document.comparisons, run_id=document.run_id, environment=document.environment)


def _answer(answer: Answer) -> AnswerItem:
    names, certainty = [side.name for side in answer.sides], answer.certainty
    return AnswerItem.of(
        certainty,
        kinds=tuple(_kind(answer, kind) for kind in answer.kinds),
        costs=tuple(
            CostItem(cost=name, texts=dict(zip(names, texts, strict=True))) for name, texts in wording.cost_rows(answer)
        ),
        how_sure=certainty.basis,
        notes=answer.notes,
        scale=answer.scale,
    )


def _kind(answer: Answer, kind: TrafficKind) -> KindItem:
    return KindItem.of(
        kind.measured,
        kind=kind.title,
        path=kind.path,
        dataplanes=tuple(
            StandingItem.of(
                cell,
                claim=kind.claim(cell.dataplane),
                texts=tuple(line.text for line in wording.cell_lines(answer, cell)),
            )
            for cell in kind.cells
        ),
    )


def _curve(line: CurveLine) -> CurveItem:
    curve, bend = line.curve, line.curve.bend
    return CurveItem.of(
        curve,
        points=tuple(CurvePointItem.of(point, flagged=bool(point.doubt.mark)) for point in curve.values),
        since=bend.since if bend else None,
        until=bend.until if bend else None,
        text=line.answer,
    )
