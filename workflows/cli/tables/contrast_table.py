"""A comparison of runs in the terminal, in 80 columns."""

from collections.abc import Mapping
from functools import cache
from itertools import groupby
from typing import Final

from rich.table import Table

from analysis.console.documents import PrintableDocument
from analysis.console.terminal import Terminal, Text
from analysis.stats.contrasts.contrast import Outcome
from analysis.summary.contrast import wording
from analysis.summary.contrast.document import compare_document, contrast_grid
from analysis.summary.contrast.markdown import to_markdown
from analysis.summary.contrast.run_contrast import ComparedSide, RunContrast

STYLES: Final[Mapping[Outcome, str]] = {"better": "green", "worse": "red", "same": "", "undecided": "dim"}

_MOST_BESIDE: Final = 10
_MOST_RUNS: Final = 3


def document(found: RunContrast, beside: Mapping[str, str]) -> PrintableDocument:
    """The comparison in every format; `beside`: the name and the address of each file, the page first."""
    page = next(iter(beside.values()), "")
    made = cache(lambda: compare_document(found, page))

    def text(console: Terminal) -> None:
        print_contrast(found, console)
        console.print()
        for name, address in beside.items():
            console.print(f"{name}: {address}", soft_wrap=True)

    return PrintableDocument(
        model=made, grid=lambda: contrast_grid(made()), markdown=lambda: to_markdown(found, page), text=text
    )


def print_contrast(found: RunContrast, console: Terminal) -> None:
    """Print what else differed, what that leaves open, and a row for each path and dataplane."""
    console.print()
    console.print(Text(found.headline, style="bold"))
    if found.disclaimer:
        console.print(Text(found.disclaimer, style="dim"))
    console.print()
    for name, side in (("A", found.a), ("B", found.b)):
        console.print(f"{name}: {_side(side)}", soft_wrap=True)
    console.print()
    console.print("What else differed, A → B:")
    for kind, facts in groupby(found.beside, key=lambda fact: fact.kind):
        shown = list(facts)
        for fact in shown[:_MOST_BESIDE]:
            console.print(f"  {kind}: {fact.text}", soft_wrap=True)
        if len(shown) > _MOST_BESIDE:
            console.print(f"  {kind}: {len(shown) - _MOST_BESIDE} more, which the page has")
    for note in found.notes:
        console.print(Text(note, style="yellow"))
    _print_rows(found, console)
    for sentence in found.left_out:
        console.print(sentence)
    console.print(Text(wording.legend(found.contrasts, found.margin_ratio), style="dim"))


def _side(side: ComparedSide) -> str:
    runs = ", ".join(f"{run.run_id} ({run.began})" for run in side.runs[:_MOST_RUNS])
    more = f" and {len(side.runs) - _MOST_RUNS} more" if len(side.runs) > _MOST_RUNS else ""
    several = f"{side.asked}, {len(side.runs)} runs: " if len(side.runs) > 1 else ""
    return f"{several}{runs}{more} in {side.environment or 'an unnamed environment'}"


def _print_rows(found: RunContrast, console: Terminal) -> None:
    names = wording.titles(found.arms)
    sides = wording.columns(found.contrasts, found.arms)
    console.print()
    console.print(f"{wording.caption(found.contrasts, found.arms)}:")
    for row in wording.table(found.contrasts, found.arms):
        console.print()
        console.print(Text(row.title, style="bold"))
        grid = Table.grid(padding=(0, 2, 0, 0))
        for side, cell in zip(sides, row.cells, strict=True):
            for line in cell:
                subject = "  to the baseline" if line.against else names[side.name]
                grid.add_row(f"  {subject}", Text(line.figures), Text(line.extent, style=STYLES[line.outcome]))
        console.print(grid)
    console.print()
