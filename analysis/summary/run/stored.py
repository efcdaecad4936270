"""Summaries in the store."""

from contextlib import suppress

from analysis.errors import BadInput
from analysis.store.index.inventory import Inventory
from analysis.store.index.selection import one_run
from analysis.store.store import Store
from analysis.summary.run.summary import Summary, from_json, to_json


def store_summary(store: Store, summary: Summary) -> None:
    """Write a summary into the row of its run.

    Raises:
        BadInput: the store has no such run.
        Unsupported: the run is left out, or the store can't be written.
    """
    store.keep_verdict(summary.run_id, to_json(summary))


def find_summary(store: Store, run_id: str) -> Summary | None:
    """The summary of a run; None where it has none that can be read, or no row.

    Raises:
        Unsupported: the store can't be read.
    """
    return find_summary_in(store.inventory(run_id=run_id, choice=one_run(run_id)), run_id)


def find_summary_in(inventory: Inventory, run_id: str) -> Summary | None:
    """The summary of a run in an inventory; None where it has none that can be read, no row, or is left out."""
    return read_verdict(_verdict(inventory, run_id))


def read_verdict(verdict: str | None) -> Summary | None:
    """A stored verdict as a summary; None where there is none that can be read."""
    with suppress(BadInput):  # it is cut short, or another program's: analysing the run again replaces it
        return None if verdict is None else from_json(verdict)
    return None


def unreadable_verdict(inventory: Inventory, run_id: str) -> str:
    """A sentence on the verdict of a run where it has one that can't be read; else empty."""
    verdict = _verdict(inventory, run_id)
    try:
        if verdict is not None:
            from_json(verdict)
    except BadInput as problem:
        return f"Run {run_id}: {problem}."
    return ""


def _verdict(inventory: Inventory, run_id: str) -> str | None:
    """The verdict in a run's row; None where there is none."""
    for runs in inventory.runs.values():
        if "verdict" not in runs.column_names:
            continue
        for run in runs.select(["run_id", "verdict"]).to_pylist():
            if run["run_id"] == run_id:
                return None if run["verdict"] is None else str(run["verdict"])
    return None
