"""Runs with their summaries, read some at a time, as their pages are made one after another."""

from collections.abc import Sequence
from typing import Final

import duckdb

from analysis.site.contents.verdicts import Verdicts
from analysis.stats import run
from analysis.stats.run import StoredRun
from analysis.summary.run.stored import read_verdict
from analysis.summary.run.summary import Summary

_BATCH: Final = 32
"""Runs read at once: a query costs as much for one as for these."""


class StoredRuns:
    """The runs of a store in the order in which they are asked for."""

    def __init__(self, con: duckdb.DuckDBPyConnection, verdicts: Verdicts, run_ids: Sequence[str]) -> None:
        self._con = con
        self._verdicts = verdicts
        self._run_ids = run_ids
        self._places = {run_id: place for place, run_id in enumerate(run_ids)}
        self._runs: dict[str, StoredRun] = {}

    def get(self, run_id: str) -> tuple[StoredRun, Summary | None]:
        """A run of the store, and its summary; None where it has none that can be read.

        Raises:
            Exception: what its rows raise; those of other runs are not read then.
        """
        if run_id not in self._runs:
            place = self._places[run_id]
            try:
                self._load(self._run_ids[place : place + _BATCH])
            except duckdb.Error:
                raise
            except Exception:  # noqa: BLE001 - one of them is at fault: this one is read alone
                self._load([run_id])
        return self._runs[run_id], read_verdict(self._verdicts.get(run_id))

    def _load(self, run_ids: Sequence[str]) -> None:
        sql = "select * from runs where run_id in (select unnest($runs::varchar[]))"
        rows = run.query_rows(self._con, sql, runs=list(run_ids))
        self._runs = {about.run_id: about for about in run.load_runs(self._con, rows)}
