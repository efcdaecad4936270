"""The document of the verb import: what became of each run, and of the files that could not be read."""

from typing import Literal

from analysis import formatting
from analysis.console.commands import report_command
from analysis.console.documents import DocumentModel, Item, PrintableDocument, grid_of
from analysis.console.markdown import code, escape, table
from analysis.console.terminal import Terminal


class ImportedRun(Item):
    """A run of the import."""

    run_id: str
    files: int
    """That its rows come from."""
    trials: int
    failed: int
    """Of the trials: each has its reason."""
    changed: bool
    """Whether its rows were written; they are not where the store has the same."""


class ImportDocument(DocumentModel):
    """What was imported."""

    document: Literal["import"] = "import"
    version: Literal[1] = 1
    environment: str
    """Of the runs: `imported:NAME`."""
    store: str
    runs: tuple[ImportedRun, ...]
    faults: tuple[str, ...]
    """What could not be imported and why, a sentence each that begins with the file's name."""
    left_out: int
    """Files that the pattern does not fit."""


def document(found: ImportDocument) -> PrintableDocument:
    """What the verb prints."""
    return PrintableDocument(
        model=lambda: found,
        grid=lambda: grid_of(ImportedRun, found.runs, environment=found.environment),
        markdown=lambda: _markdown(found),
        text=lambda console: _text(found, console),
    )


def _text(found: ImportDocument, console: Terminal) -> None:
    for run in found.runs:
        if not run.changed:
            console.print(f"{run.run_id}: already imported, {_trials(run)}; nothing changed.", soft_wrap=True)
            continue
        console.print(f"{run.run_id}: {_trials(run)} from {formatting.count(run.files, 'file')}.", soft_wrap=True)
        console.print(f"Report: {report_command(found.store, run.run_id)}", soft_wrap=True)


def _markdown(found: ImportDocument) -> str:
    rows = [
        (code(run.run_id), str(run.files), str(run.trials), str(run.failed), "stored" if run.changed else "as it was")
        for run in found.runs
    ]
    faults = "\n".join(f"- {escape(fault)}" for fault in found.faults)
    runs = table(("run", "files", "trials", "failed", "store"), rows)
    return f"{runs}\n\nNot imported:\n\n{faults}" if faults else runs


def _trials(run: ImportedRun) -> str:
    return formatting.count(run.trials, "trial") + (f", {run.failed} of them failed" if run.failed else "")
