"""The answer of a run in the terminal: kinds of traffic by dataplanes, what a move costs, how sure.

A table of 80 columns, or lines where the terminal has fewer.
"""

from collections.abc import Mapping
from typing import Final

from rich.table import Table

from analysis.console.terminal import Terminal, Text
from analysis.summary.answer import wording
from analysis.summary.answer.answer import Answer
from analysis.summary.figures.standings import Standing
from analysis.summary.figures.traffic import TrafficCell

STYLES: Final[Mapping[Standing, str]] = {
    "best": "green",
    "as-good": "",
    "worse": "red",
    "undecided": "dim",
    "not-measured": "dim",
}
_MOST_COLUMNS: Final = 4
"""With more dataplanes than this a row of 80 columns has no room; each then has a line of its own."""

_WIDTH: Final = 80
_FIRST: Final = 17


def print_answer(answer: Answer, console: Terminal) -> None:
    """Print the table, the costs and how sure the answer is; nothing where nothing was compared."""
    if not answer.kinds:
        return
    console.print()
    if len(answer.sides) <= _MOST_COLUMNS and console.width >= _WIDTH:
        console.print(_table(answer))
    else:
        _print_lines(answer, console)
    console.print()
    console.print(f"How sure: {answer.certainty.basis}")
    if answer.certainty.advice:
        console.print(f"To settle more: {answer.certainty.advice}")
    if answer.certainty.command:
        console.print(f"  {answer.certainty.command}", soft_wrap=True)
    for note in answer.notes:
        console.print(note)
    console.print(Text(wording.legend(answer), style="dim"))


def _table(answer: Answer) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold", width=_WIDTH)
    table.add_column("", width=_FIRST)
    for side in answer.sides:
        table.add_column(Text(side.title), ratio=1)
    for kind in answer.kinds:
        table.add_row(kind.title, *(_cell(answer, cell) for cell in kind.cells))
    for name, texts in wording.cost_rows(answer):
        table.add_row(Text(name, style="dim"), *texts)
    return table


def _cell(answer: Answer, cell: TrafficCell, between: str = "\n") -> Text:
    """The lines of a cell, `between` the word of each and how far."""
    found = Text()
    for line in wording.cell_lines(answer, cell):
        found.append("\n" if found else "").append(
            between.join(filter(None, [line.word, line.extent])), STYLES[line.standing]
        )
    return found


def _print_lines(answer: Answer, console: Terminal) -> None:
    names = max(len(side.title) for side in answer.sides)
    costs = wording.cost_rows(answer)
    for kind in answer.kinds:
        console.print(Text(kind.title, style="bold"))
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(min_width=names + 2)
        for side, cell in zip(answer.sides, kind.cells, strict=True):
            grid.add_row(f"  {side.title}", _cell(answer, cell, " "))
        console.print(grid)
    for place, side in enumerate(answer.sides if costs else ()):
        console.print(f"To {side.title}: {'; '.join(f'{name} {texts[place]}' for name, texts in costs)}.")
