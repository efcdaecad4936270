"""The comparisons of a run that is still going on, from the rows of its documents so far."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from analysis.sql import database
from analysis.stats import run
from analysis.stats.comparison import Comparison
from analysis.store.store import Store
from analysis.summary import summary
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
            found = summary._comparisons(con, run.load_run(con, run_id))  # noqa: SLF001
            return cast("list[Compared]", [_Judged(c) for c in found])


@dataclass(frozen=True)
class _Judged:
    c: Comparison

    def __getattr__(self, name: str) -> object:
        return getattr(self.c, name)

    against_baseline = True
    within_margin = False

    @property
    def decided(self) -> bool:
        return self.c.found or (
            self.c.low is not None and self.c.high is not None and max(-self.c.low, self.c.high) < 0.1  # noqa: PLR2004
        )
