"""The curves of a run in the terminal: each dataplane's figure at each scale, and from where on it changes."""

from typing import Final

from rich.table import Table

from analysis.console.terminal import Terminal, Text
from analysis.metrics import BY_NAME
from analysis.summary.figures import pooled_times
from analysis.summary.run import at_scale
from analysis.summary.run.at_scale import CurveGroup, Tone
from analysis.summary.run.summary import Summary

_STYLES: Final[dict[Tone, str]] = {"better": "green", "worse": "red", "same": "", "undecided": "dim"}


def print_curves(summary: Summary, console: Terminal) -> None:
    """Print the curves by the leading metrics; the report has them all. Nothing in a run of one scale."""
    groups = at_scale.groups_of(summary)
    if not groups:
        return
    console.print()
    console.print(Text("At scale", style="bold"))
    console.print(at_scale.first_sentence(groups))
    leading = [group for group in groups if BY_NAME[group.lines[0].curve.metric].has_first_curve]
    for group in leading:
        console.print()
        console.print(Text(group.where, style="bold"))
        console.print(_table(group))
    left_out = len(groups) - len(leading)
    more = f" The report has {left_out} more." if left_out else ""
    console.print(Text(f"{at_scale.confidence(groups)}{more}", style="dim"))
    _print_times(summary, console)


def _print_times(summary: Summary, console: Terminal) -> None:
    """How late changes of the cluster work; nothing in the lab."""
    if not summary.programming:
        return
    console.print()
    console.print(Text(pooled_times.TITLE, style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row(*(Text(name, style="dim") for name in pooled_times.COLUMNS))
    for times in summary.programming:
        table.add_row(*times.texts)
    console.print(table)
    console.print(Text(pooled_times.meaning(summary.programming), style="dim"))


def _table(group: CurveGroup) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    for _ in group.scales:
        table.add_column(justify="right")
    table.add_row("", *(Text(scale, style="dim") for scale in group.scales))
    for line in group.lines:
        table.add_row(f"  {line.title}", *line.values, Text(line.answer, style=_STYLES[line.tone]))
    return table
