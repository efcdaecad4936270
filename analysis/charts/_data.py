"""What charts are drawn from: the run, its comparisons, and visit means with their intervals as rows of a frame."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from analysis import formatting
from analysis.domain import Cell
from analysis.flags import MARKED, Kind
from analysis.stats import intervals as statistics
from analysis.stats import run
from analysis.stats.comparison import Comparison
from analysis.stats.regressions import LevelChange
from analysis.stats.run import RunArm, StoredRun

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Data:
    """One run, and the connection to ask for more."""

    con: duckdb.DuckDBPyConnection
    run: StoredRun
    comparisons: tuple[Comparison, ...]
    changes: tuple[LevelChange, ...] = ()

    def ask(self, sql: str, **parameters: object) -> list[Row]:
        """The answer to a query that knows the run as `$run_id`."""
        return run.query_rows(self.con, sql, run_id=self.run.run_id, **parameters)

    def by_path(self, sql: str) -> list[Row]:
        """As `ask`, of a query that gives the columns of a cell: with `path`, in the order planned."""
        places = {cell: place for place, cell in enumerate(self.run.cells)}
        found = [(places[Cell.of(row)], row) for row in self.ask(sql)]
        return [row | {"path": self.path(row)} for _, row in sorted(found, key=lambda pair: pair[0])]

    def path(self, row: Row) -> str:
        """The name of a row's path."""
        return self.run.path(Cell.of(row))

    def side(self, arm: RunArm) -> Row:
        """The columns by which a chart knows a dataplane: title, colour, number of its shape, twin or not."""
        names = list(dict.fromkeys(a.name.partition("+")[0] for a in self.run.arms))
        shape = names.index(arm.name.partition("+")[0])
        return {"dataplane": arm.title, "colour": arm.colour, "shape": shape, "twin": arm.twin}


@contextmanager
def narrowed(con: duckdb.DuckDBPyConnection, run_id: str) -> Iterator[None]:
    """Within, the views that most charts ask hold this run alone, read once; a store of a thousand runs is slow to ask.

    Temporary tables stand before views of the same name, so the charts' questions read as they do in a shell.
    """
    made: list[str] = []
    try:
        for view in ("visit_means", "node_usage", "idle_usage"):
            sql = f"create or replace temp table of_run as select * from {view} where run_id = $run_id"  # noqa: S608
            con.execute(sql, {"run_id": run_id})
            con.execute(f"alter table of_run rename to {view}")
            made.append(view)
        yield
    finally:
        for view in made:
            con.execute(f"drop table {view}")


def frame(rows: Iterable[Row]) -> pa.Table:
    """Rows as a data frame."""
    return pa.Table.from_pylist(list(rows))


def flagged(row: Row, kind: Kind) -> bool:
    """Whether flagged trials entered a row of `visit_means`, or were left out of it."""
    return bool(row[f"{kind}_flagged"] or row[f"{kind}_left_out"])


def intervals(data: Data, visits: Iterable[Row], unit: str, kind: Kind, *, geometric: bool = False) -> pa.Table:
    """Visit means with their 95 % intervals: a row for each path and dataplane; one without a value says so.

    Args:
        data: the run.
        visits: `path`, `dataplane` (its name), `value`, and how many trials are flagged and left out, one row a visit.
        unit: of the value, SI; the frame holds it in the multiple that fits, named in its column `unit`.
        kind: of the value; the text of one in which flags matter has a mark.
        geometric: whether the mean is taken of logarithms.
    """
    found: dict[tuple[str, str], list[float]] = {}
    marks: dict[tuple[str, str], str] = {}
    for row in visits:
        place = (row["path"], row["dataplane"])
        if row["value"] is not None:
            found.setdefault(place, []).append(row["value"])
        if flagged(row, kind):
            marks[place] = MARKED
    size, name = formatting.scale(unit, *(sum(values) / len(values) for values in found.values()))
    rows = [
        {"path": path, "unit": name} | data.side(arm) | _value(found.get((path, arm.name)), size, geometric)
        for path in dict.fromkeys(path for path, _ in found)
        for arm in data.run.arms
    ]
    titles = {(path, data.run.arm(name).title): mark for (path, name), mark in marks.items()}
    return frame(row | {"text": row["text"] + titles.get((row["path"], row["dataplane"]), "")} for row in rows)


def _value(values: list[float] | None, size: float, geometric: bool) -> Row:  # noqa: FBT001 - passed on as it came
    if not values:
        return {"value": None, "low": None, "high": None, "text": "not measured"}
    positive = geometric and min(values) > 0
    interval = statistics.geometric_mean_interval(values) if positive else statistics.mean_interval(values)
    mean = interval.mean if interval else values[0]
    return {
        "value": mean / size,
        "low": interval.low / size if interval else None,
        "high": interval.high / size if interval else None,
        "text": formatting.digits(mean / size),
    }
