"""What a run says, kept beside its rows."""

from analysis.store.inventory import Inventory
from analysis.store.store import Store
from analysis.summary import summary
from analysis.summary.summary import Summary


def store_summary(store: Store, said: Summary) -> None:
    """Put a summary into the row of its run; what was measured is not written again.

    Args:
        store: where the run is.
        said: the summary of the run.

    Raises:
        BadInput: the store has no such run.
        Unsupported: the run is left out, or the store can't be written.
    """
    store.keep_verdict(said.run_id, summary.to_json(said))


def find_summary(store: Store, run_id: str) -> Summary | None:
    """What a run said; None where it came to no verdict, or to no row.

    Raises:
        Unsupported: the store can't be read.
    """
    return find_summary_in(store.inventory(run_id=run_id), run_id)


def find_summary_in(inventory: Inventory, run_id: str) -> Summary | None:
    """What a run said, by what its store holds; None where it came to no verdict, to no row, or is left out."""
    for runs in inventory.runs.values():
        if "verdict" not in runs.column_names:
            continue
        for run in runs.select(["run_id", "verdict"]).to_pylist():
            if run["run_id"] == run_id:
                return None if run["verdict"] is None else summary.from_json(str(run["verdict"]))
    return None
