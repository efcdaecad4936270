"""The summary of a run in the terminal: a table of comparisons, not of trials."""

from collections.abc import Mapping
from functools import cache

from rich.table import Table

from analysis import flags, formatting
from analysis.console.commands import report_command
from analysis.console.documents import Format, PrintableDocument, aside, print_document
from analysis.console.terminal import Terminal, Text
from analysis.metrics import BY_NAME, COMPARED, LEADING
from analysis.stats.verdicts.comparison import Comparison
from analysis.store.index.left_out import sentences
from analysis.store.store import Store
from analysis.summary.figures import change_groups
from analysis.summary.figures.standings import ARROWS
from analysis.summary.run import stored
from analysis.summary.run.document import comparison_grid, run_document
from analysis.summary.run.markdown import to_markdown
from analysis.summary.run.summary import Summary
from workflows.cli.tables import answer_table, curve_table

BESIDE = tuple(metric for metric in COMPARED if metric.beside)
"""The metrics shown beside the leading ones. The report has them all."""

ANSWER_WIDTH = 16
"""Of a difference with its interval, such as `+72 % [65, 80]`."""


def print_result(results: str, run_id: str, wanted: Format, why: str = "") -> int:
    """Print the result of a run, with the address of its report; returns the exit code.

    `why`: the first failure of a step, with the step's name; printed if there is no report.
    """
    store, console = Store(results), aside(wanted)
    stock = store.inventory(run_id=run_id)
    summary = stored.find_summary_in(stock, run_id)
    for sentence in sentences(stock.left_out):
        console.print(sentence, style="yellow", soft_wrap=True)
    if summary is None and any(one.run_id == run_id for one in stock.left_out):
        return 1
    if summary is None:
        unread = stored.unreadable_verdict(stock, run_id)
        ended = f"Run {run_id} was ended before its rows were analysed; there is no report of it."
        console.print(unread or ended, soft_wrap=True)
        if why:
            console.print(f"The first step that failed is {formatting.sentences(why)}", style="red", soft_wrap=True)
        wish = "To do so" if unread else "To have one of what was measured"
        console.print(f"{wish}, type `{report_command(results, run_id)}`.", soft_wrap=True)
        return 1
    folder = f"reports/{run_id}"
    files = {"Report": f"{folder}/report.html", "Latest": "report.html"}
    files |= {"Interactive": f"{folder}/report-interactive.html", "Markdown": f"{folder}/summary.md"}
    beside = {name: store.location(file) for name, file in files.items()}
    print_document(document(summary, beside), wanted)
    return int(bool(summary.failing) or summary.outcome != "measured")


def document(summary: Summary, beside: Mapping[str, str]) -> PrintableDocument:
    """The result of a run in every format; `beside`: the name and the address of each file, the report first."""
    report = next(iter(beside.values()))
    made = cache(lambda: run_document(summary, report))

    def text(console: Terminal) -> None:
        print_summary(summary, console)
        console.print()
        for name, address in beside.items():
            console.print(f"{name}: {address}", soft_wrap=True)

    return PrintableDocument(
        model=made, grid=lambda: comparison_grid(made()), markdown=lambda: to_markdown(summary, report), text=text
    )


def print_summary(summary: Summary, console: Terminal) -> None:
    """Print the answer, a row for each path and dataplane, changes, failures and flags."""
    console.print()
    console.print(Text(summary.headline, style="bold"))
    if summary.early:
        console.print(summary.early, style="yellow", soft_wrap=True)
    for doubt in summary.doubts:
        console.print(doubt, style="yellow", soft_wrap=True)
    if summary.answer is not None:
        answer_table.print_answer(summary.answer, console)
    curve_table.print_curves(summary, console)
    _print_comparisons(summary, console)
    _print_levels(summary, console)
    _print_changes(summary, console)
    for skipped in summary.skipped:
        console.print(f"Skipped: {skipped.name}: {skipped.reason}", soft_wrap=True)
    for failure in summary.failures:
        console.print(f"Failed: {failure.sentence}", style="red", soft_wrap=True)
    for flag in summary.flags:
        console.print(f"Flagged {flag.flag}: {formatting.count(flag.trials, 'trial')}; {flag.meaning}.", soft_wrap=True)
    if summary.disclaimer:
        console.print()
        console.print(summary.disclaimer, style="dim", soft_wrap=True)


def _print_comparisons(summary: Summary, console: Terminal) -> None:
    """Print a heading for each path and a row for each dataplane, in 80 columns."""
    leading = [c for metric in LEADING for c in summary.answered(metric.name)]
    others = {(metric.name, c.path, c.dataplane): c for metric in BESIDE for c in summary.answered(metric.name)}
    if not leading:
        return
    console.print()
    console.print(
        f"against {summary.baseline}: difference [interval]; {ARROWS['as-good']} the same within "
        f"{formatting.percent(leading[0].margin_ratio, sign=False)}, {ARROWS['undecided']} undecided",
    )
    names = max(len(c.dataplane) for c in leading)
    figures = max(len(c.figures) for c in leading)
    for path in dict.fromkeys(c.path for c in leading):
        here = [c for c in leading if c.path == path]
        metrics = list(dict.fromkeys(BY_NAME[c.metric] for c in here))
        beside = [other for other in BESIDE if other.needed_column in {metric.needed_column for metric in metrics}]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=names + 2)
        table.add_column(min_width=figures)
        table.add_column(min_width=ANSWER_WIDTH)
        for one in here:
            cells = [(other.beside, others.get((other.name, path, one.dataplane))) for other in beside]
            shown = [Text.assemble(f"{label} ", _answer(c)) if c else Text() for label, c in cells]
            table.add_row(f"  {one.dataplane}", one.figures, _answer(one), *shown)
        what = ", ".join([*(metric.title.partition(",")[0] for metric in metrics), *(other.title for other in beside)])
        console.print(Text.assemble((path, "bold"), f"  {what}"))
        console.print(table)
    has_legend = summary.answer is not None and summary.headline.endswith(flags.MARKED)
    if not has_legend and any(c.doubts.mark for c in (*leading, *others.values())):
        console.print(flags.LEGEND, style="dim", soft_wrap=True)


def _print_levels(summary: Summary, console: Terminal) -> None:
    """Print the level of each leading figure over the nights since its last change, beside tonight's."""
    found = [(c, summary.level_since(c)) for metric in LEADING for c in summary.of(metric.name)]
    shown = [(c, level) for c, level in found if level is not None and level.nights > 1]
    if not shown:
        return
    console.print()
    console.print(f"against {summary.baseline}: level since the last change, beside tonight's")
    table = Table.grid(padding=(0, 2, 0, 0))
    for c, level in shown:
        table.add_row(f"{c.where}", c.dataplane, level.estimate, level.span, f"tonight {level.this_night}")
    console.print(table)


def _print_changes(summary: Summary, console: Terminal) -> None:
    """Print a line for each dataplane and night since which it is worse or better; the report has the small changes."""
    if summary.history is None:
        return
    console.print()
    shown = [group for group in change_groups.group_changes(summary.changes) if group.kind in change_groups.LOUD]
    for group in shown:
        style = {"regression": "red", "standing": "red", "improvement": "green"}.get(group.kind, "")
        console.print(Text(f"{change_groups.KINDS[group.kind]}: {group.line}", style=style), soft_wrap=True)
    for note in summary.history.notes:
        console.print(note, soft_wrap=True)
    nothing = "" if shown else "Nothing changed from night to night. "
    console.print(Text(nothing + summary.history.sentence, style="dim"), soft_wrap=True)


def _answer(comparison: Comparison) -> Text:
    """The difference, that there is none, or that it is undecided; the report has the reasons."""
    if comparison.gain is None:
        arrow = ARROWS["as-good" if comparison.decided else "undecided"]
        return Text(f"{arrow} {comparison.estimate or f'undecided{comparison.doubts.mark}'}", style="dim")
    return Text(comparison.estimate, style="green" if comparison.gain else "red")
