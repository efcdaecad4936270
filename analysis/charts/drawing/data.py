"""The data of charts: the run, its comparisons, and frames of visit means with their intervals."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from analysis import formatting
from analysis.console.sanitizing import strip_controls
from analysis.domain import Cell
from analysis.flags import MARKED, FigureKind
from analysis.metrics.metric import ComparedMetric, Metric
from analysis.statements.execution import execute, rows_of
from analysis.stats import run
from analysis.stats.arms import RunArm
from analysis.stats.estimates.intervals import geometric_mean_interval, mean_interval
from analysis.stats.nights.regressions import LevelChange
from analysis.stats.run import StoredRun
from analysis.stats.verdicts.comparison import Comparison
from analysis.stats.verdicts.curves import Curve

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChartData:
    """One run, its comparisons, changes and curves, and the connection to the store."""

    con: duckdb.DuckDBPyConnection
    run: StoredRun
    comparisons: tuple[Comparison, ...]
    changes: tuple[LevelChange, ...] = ()
    curves: tuple[Curve, ...] = ()

    def query(self, sql: str, **parameters: object) -> list[Row]:
        """The rows of a query in which `$run_id` is this run."""
        return run.query_rows(self.con, sql, run_id=self.run.run_id, **parameters)

    def by_path(self, sql: str) -> list[Row]:
        """The rows of a query that has the columns of a cell, with a column `path`, in the order of the plan."""
        rows = sorted(self.query(sql), key=lambda row: self.run.cells.index(Cell.of(row)))
        return [row | {"path": self.path(row)} for row in rows]

    def path(self, row: Row) -> str:
        """The name of a row's path."""
        return self.run.path(self.run.cell(row))

    def side(self, arm: RunArm) -> Row:
        """The columns that draw a dataplane: title, colour, index of its shape, and whether it is a twin."""
        return {"dataplane": arm.title, "colour": arm.colour, "shape": self.run.shape(arm), "twin": arm.twin}


@contextmanager
def narrowed(con: duckdb.DuckDBPyConnection, run_id: str) -> Iterator[None]:
    """Limit the views that most charts query to one run, read once: a store of a thousand runs is slow to query.

    Temporary tables shadow the views of the same name, so the charts' queries also work in a shell.
    """
    made: list[str] = []
    if rows_of(con, "from duckdb_tables() where temporary and table_name = 'visit_means'").num_rows:
        yield  # done already, around several drawings
        return
    try:
        for view in ("visit_means", "node_usage", "idle_usage"):
            sql = f"create or replace temp table of_run as select * from {view} where run_id = $run_id"  # noqa: S608
            execute(con, sql, {"run_id": run_id})
            execute(con, f"alter table of_run rename to {view}")
            made.append(view)
        yield
    finally:
        for view in made:
            execute(con, f"drop table {view}")


def to_frame(rows: Iterable[Row]) -> pa.Table:
    """Rows as an Arrow table, their texts without control characters."""
    return pa.Table.from_pylist(
        [{name: strip_controls(each) if isinstance(each, str) else each for name, each in row.items()} for row in rows]
    )


def flagged(row: Row, kind: FigureKind) -> bool:
    """Whether flagged trials entered a row of `visit_means`, or were left out of it."""
    return bool(row[f"{kind}_flagged"] or row[f"{kind}_left_out"])


def intervals(
    data: ChartData, visits: Iterable[Row], unit: str, kind: FigureKind, *, geometric: bool = False
) -> pa.Table:
    """Means over visits with their 95 % intervals: a row for each path and dataplane, also where there is no value.

    Args:
        data: the run.
        visits: one row a visit: `path`, `dataplane` (its name), `value`, the numbers of flagged and left-out trials.
        unit: of the value, SI; the frame has it in the multiple that fits, named in its column `unit`.
        kind: of the value, which decides the flags that mark its text.
        geometric: whether the means are geometric.
    """
    found: dict[tuple[str, str], list[float]] = {}
    marks: dict[tuple[str, str], str] = {}
    for row in visits:
        place = (row["path"], row["dataplane"])
        if row["value"] is not None:
            found.setdefault(place, []).append(row["value"])
        if flagged(row, kind):
            marks[place] = MARKED
    size, name = formatting.fitting_unit(unit, *(sum(values) / len(values) for values in found.values()))
    rows = [
        {"path": path, "unit": name} | data.side(arm) | _value(found.get((path, arm.name)), size, geometric)
        for path in dict.fromkeys(path for path, _ in found)
        for arm in data.run.arms
    ]
    titles = {(path, data.run.arm(name).title): mark for (path, name), mark in marks.items()}
    return to_frame(row | {"text": row["text"] + titles.get((row["path"], row["dataplane"]), "")} for row in rows)


def metric_frame(data: ChartData, metric: Metric) -> pa.Table:
    """The means of a metric as `intervals` has them, geometric like its comparisons."""
    sql = f"select *, {metric.name} as value from visit_means where run_id = $run_id"  # noqa: S608 - a metric's name
    geometric = isinstance(metric, ComparedMetric) and metric.scale == "ratio"
    return intervals(data, data.by_path(sql), metric.shown_unit, metric.kind, geometric=geometric)


def _value(values: list[float] | None, size: float, geometric: bool) -> Row:  # noqa: FBT001 - private
    if not values:
        return {"value": None, "low": None, "high": None, "text": "not measured"}
    interval = (geometric_mean_interval if geometric and min(values) > 0 else mean_interval)(values)
    mean = interval.mean if interval else values[0]
    return {
        "value": mean / size,
        "low": interval.low / size if interval else None,
        "high": interval.high / size if interval else None,
        "text": formatting.digits(mean / size),
    }
