"""The answer of a run as Markdown, to paste into an issue, a pull request or a chat."""

from analysis.console.markdown import code, escape, link, table
from analysis.console.sanitizing import strip_controls
from analysis.summary.answer import wording
from analysis.summary.answer.answer import Answer
from analysis.summary.figures import pooled_times
from analysis.summary.figures.traffic import TrafficCell
from analysis.summary.run import at_scale
from analysis.summary.run.at_scale import CurveGroup
from analysis.summary.run.summary import Summary


def to_markdown(summary: Summary, report: str = "") -> str:
    """The answer first: the sentence, the table, what a move costs, and how sure it is.

    `report`: the address of the run's report; empty: left out.
    """
    answer = summary.answer
    paragraphs = [f"**{escape(summary.headline)}**", escape(summary.notice or ""), escape(summary.alarm)]
    if answer is not None and answer.kinds:
        certainty = answer.certainty
        command = f" {code(certainty.command)}" if certainty.command else ""
        paragraphs += [_table(answer), f"{escape(certainty.basis)} {escape(certainty.advice)}{command}"]
        paragraphs += map(escape, [*answer.notes, wording.legend(answer)])
    if groups := at_scale.groups_of(summary):
        paragraphs += [escape(at_scale.first_sentence(groups)), *map(_curves, groups)]
        paragraphs += [escape(at_scale.confidence(groups))]
    if summary.programming:
        rows = [map(escape, times.texts) for times in summary.programming]
        meaning = pooled_times.meaning(summary.programming)
        paragraphs += [escape(pooled_times.TITLE), table(pooled_times.COLUMNS, rows), escape(meaning)]
    paragraphs += [
        escape(summary.disclaimer or ""),
        f"Run {code(summary.run_id)}. {link('Report', report) if report else ''}",
    ]
    return strip_controls("\n\n".join(text.strip() for text in paragraphs if text.strip()) + "\n")


def _table(answer: Answer) -> str:
    rows = [[escape(kind.title), *(_cell(answer, cell) for cell in kind.cells)] for kind in answer.kinds]
    costs = [[escape(name), *map(escape, texts)] for name, texts in wording.cost_rows(answer)]
    return table(["", *(escape(side.title) for side in answer.sides)], [*rows, *costs])


def _curves(group: CurveGroup) -> str:
    rows = [[escape(text) for text in (line.title, *line.values, line.answer)] for line in group.lines]
    return table([escape(group.where), *map(escape, group.scales), "from the first to the last"], rows)


def _cell(answer: Answer, cell: TrafficCell) -> str:
    return "<br>".join(escape(line.text) for line in wording.cell_lines(answer, cell))
