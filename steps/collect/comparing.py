"""The comparisons of a run that is still going on, from the rows of its documents so far."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from analysis.sql import database
from analysis.statements.execution import rows_of
from analysis.stats import run
from analysis.stats.verdicts.canaries import VisitReference, visits_off
from analysis.stats.verdicts.comparison import Comparison
from analysis.stats.verdicts.run_judgement import NIGHTLY, NIGHTS_OF_NOISE, continued_runs, judge_run
from analysis.store.index.selection import of_environment
from analysis.store.schema import TABLES, arrow_schema
from analysis.store.store import Store
from steps.catalogue.options import method
from steps.collect import Row

_NIGHTS: Final = "select run_id from runs where environment = $place and trigger = $nightly order by started_at desc"


def compare_rows(rows: Mapping[str, Sequence[Row]], run_id: str, results: str) -> tuple[Comparison, ...]:
    """Compare the figures as the report compares a whole run's, in a store of their own.

    `rows`: of the run so far, by table. `results`: the store, from which come the runs that this one continues, and of
    a nightly run the nights before.

    Raises:
        Problem: there is no room for it, a row can't be stored, or the store can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="look-") as folder:
        store = Store(folder)
        store.write(run_id, rows)
        _copy_others(rows["runs"][0], results, store)
        with database.connect(store, run_id=run_id, asking="") as con:
            return judge_run(con, run.load_run(con, run_id), method).comparisons


def _copy_others(row: Row, results: str, store: Store) -> None:
    """Copy the runs with which this one is judged."""
    parameters = cast("Mapping[str, object]", row["parameters"])
    if row["trigger"] != NIGHTLY and not parameters.get("continues"):
        return
    choice = of_environment(str(row["environment"]))
    with database.connect(Store(results), asking="", choice=choice) as con:
        for run_id in dict.fromkeys(_others(con, row, parameters)):
            own = {
                table: rows_of(con, f"select * from {table} where run_id = $run", {"run": run_id}).cast(  # noqa: S608
                    arrow_schema(table)
                )
                for table in TABLES
                if table != "samples"
            }
            store.write_tables(run_id, own)


def _others(con: database.Connection, row: Row, parameters: Mapping[str, object]) -> Iterator[str]:
    yield from continued_runs(con, parameters)
    if row["trigger"] == NIGHTLY:
        nights = run.query_rows(con, _NIGHTS, place=row["environment"], nightly=NIGHTLY)
        # not every one of them is comparable
        yield from (str(night["run_id"]) for night in nights[: 2 * NIGHTS_OF_NOISE])


def off_visits(rows: Mapping[str, Sequence[Row]]) -> dict[int, str]:
    """The visits during which the host network was off their dataplane's other visits, each with why, as a clause."""
    measured: dict[object, list[object]] = defaultdict(list)
    for row in rows["trials"]:
        measured[row["visit"]].append(row.get("host_network_bps"))
    return visits_off(
        [
            VisitReference(
                cast("int", row["visit"]),
                str(row["dataplane_requested"]),
                tuple(
                    float(bps)
                    for bps in (row["canary_before_bps"], *measured[row["visit"]], row["canary_after_bps"])
                    if isinstance(bps, float | int)
                ),
            )
            for row in rows["visits"]
        ]
    )
