"""The answer of a run as Markdown, to paste into an issue, a pull request or a chat."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from analysis.console.sanitizing import strip_controls
from analysis.summary import wording
from analysis.summary.answer import Answer
from analysis.summary.summary import Summary

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#~])")


def to_markdown(summary: Summary, report: str = "") -> str:
    """The answer first: the sentence, the table, what a move costs, and how sure it is.

    Args:
        summary: of the run.
        report: the address of its report; empty: left out.
    """
    answer = summary.answer
    paragraphs = [f"**{_escape(summary.headline)}**", _escape(summary.notice or ""), _escape(summary.alarm)]
    if answer is not None and answer.kinds:
        certainty = answer.certainty
        command = f" `{certainty.command}`" if certainty.command else ""
        paragraphs += ["\n".join(_table(answer)), f"{_escape(certainty.basis)} {_escape(certainty.advice)}{command}"]
        paragraphs += map(_escape, [*answer.notes, wording.legend(answer)])
    paragraphs += [
        _escape(summary.disclaimer or ""),
        f"Run `{summary.run_id}`. {f'Report: <{report}>' if report else ''}",
    ]
    return strip_controls("\n\n".join(text.strip() for text in paragraphs if text.strip()) + "\n")


def _table(answer: Answer) -> Iterator[str]:
    yield _row(["", *(_escape(side.title) for side in answer.sides)])
    yield _row(["---"] * (1 + len(answer.sides)))
    for kind in answer.kinds:
        cells = ([_escape(line.text) for line in wording.cell_lines(answer, cell)] for cell in kind.cells)
        yield _row([_escape(kind.title), *("<br>".join(lines) for lines in cells)])
    for name, texts in wording.cost_rows(answer):
        yield _row([_escape(name), *map(_escape, texts)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """The text with all that Markdown and HTML would read as more than text escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
