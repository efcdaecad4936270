"""The comparisons of a run that is still going on, from the rows of its documents so far."""

import tempfile
from collections.abc import Sequence

from analysis.sql import database
from analysis.stats import run, run_judgement
from analysis.store.store import Store
from steps.catalogue.options import method
from steps.collect.decision import Compared

Row = dict[str, object]


def compare_rows(rows: dict[str, list[Row]], run_id: str) -> Sequence[Compared]:
    """Compare the figures in a store of their own, as the report compares a whole run's.

    Raises:
        Problem: there is no room for it, or a row can't be stored.
    """
    with tempfile.TemporaryDirectory(prefix="look-") as folder:
        store = Store(folder)
        store.write(run_id, rows)
        with database.connect(store, run_id=run_id, asking="") as con:
            return run_judgement.judge_run(con, run.load_run(con, run_id), method).comparisons
