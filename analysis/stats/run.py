"""A stored run: its dataplanes and its paths in their order, from its rows in `runs`, `visits` and `trials`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import duckdb

from analysis import formatting
from analysis.domain import CELL, DEALT, HOST_PATH, IMPORTED, LAB, Cell, Factor, StoredScale, StoredVariant
from analysis.errors import BadInput, Unsupported
from analysis.statements.execution import rows_of
from analysis.stats import scales
from analysis.stats.arms import RunArm, recorded_arms, skipped_reasons
from analysis.store.index.left_out import LeftOut

_VISITED: Final = """
select run_id, dataplane_requested as name, min(visit) as first from visits
where run_id in (select unnest($runs::varchar[])) group by all order by first
"""
_MEASURED: Final = f"""
with cells as (
    select * replace (coalesce(services, max(services) over (partition by run_id)) as services) from trials
    where run_id in (select unnest($runs::varchar[]))
)
select run_id, {CELL}, min(trial) as first from cells group by all order by first
"""  # noqa: S608 - its columns

OUTCOME: Final = """case when t.outcome = 'not-run' then 'not-run'
    when t.outcome = 'measured' and counts(v.proof, r.environment) is true then 'measured' else 'failed' end"""
"""SQL: what became of a trial `t` of a visit `v` of a run `r`; a figure of a visit that does not count has failed."""


@dataclass(frozen=True, slots=True)
class RecordedPath:
    """A topology of a run: what it is called, and whether it is between the nodes' own networks."""

    title: str
    host_network: bool


@dataclass(frozen=True)
class StoredRun:
    """A run without its figures.

    `cells` are in the order of the plan, each from its smallest scale to its largest. `variants`: (tool,
    transport) -> variant. `paths`: topology -> as recorded.
    """

    run_id: str
    environment: str
    started_at: datetime | None
    trigger: str | None
    seed: int | None
    parameters: dict[str, Any]
    provenance: dict[str, Any]
    arms: tuple[RunArm, ...]
    skipped: tuple[RunArm, ...]
    cells: tuple[Cell, ...]
    variants: Mapping[tuple[str, str], StoredVariant]
    paths: Mapping[str, RecordedPath]

    @property
    def baseline(self) -> RunArm | None:
        """The first dataplane that was not left out, with which all others are compared."""
        return self.arms[0] if self.arms else None

    @property
    def is_lab(self) -> bool:
        """Whether these are figures of the lab."""
        return self.environment == LAB

    @property
    def is_dealt(self) -> bool:
        """Whether each path was measured in one dataplane alone, so that there is nothing to compare."""
        return self.parameters.get(DEALT) is True

    @cached_property
    def scales(self) -> tuple[StoredScale, ...]:
        """The scales at which it measured, the smallest first."""
        return tuple(sorted({cell.scale for cell in self.cells}))

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """What varied between its scales; nothing in a run of one scale, whose paths do not name it."""
        return scales.varied(cell.scale for cell in self.cells)

    @property
    def imported(self) -> dict[str, Any] | None:
        """What is known of the import of a run that another tool measured; None: it was measured by this program."""
        return (self.parameters.get(IMPORTED) or {}) if self.environment.startswith(f"{IMPORTED}:") else None

    def path(self, cell: Cell, title: str = "") -> str:
        """The name of a cell's path: topology, variant, direction and scale if needed.

        The variant is left out where `title`, that of the metric shown beside the path, names it.
        """
        path, scale = self.unscaled_path(cell, title), scales.describe(cell.scale, self.factors)
        return f"{path}, {scale}" if scale else path

    def unscaled_path(self, cell: Cell, title: str = "") -> str:
        """As `path`, without the scale."""
        name = self.variant(cell).name
        shown = "" if name in title.split() else name
        return formatting.cell(cell.topology, shown, cell.direction, both_directions=self._is_both_ways(cell))

    def _is_both_ways(self, cell: Cell) -> bool:
        """Whether the run measured the path in both directions."""
        return len({other.direction for other in self.cells if other.unscaled[:3] == cell.unscaled[:3]}) > 1

    def cell(self, row: Mapping[str, Any]) -> Cell:
        """The cell of a row of `trials`; of a trial that recorded no scale, as before there were several, the run's."""
        found, known = Cell.of(row), self.scales
        return found.at(known[0]) if row.get("services") is None and len(known) == 1 else found

    def traffic(self, cell: Cell) -> str:
        """A cell as a kind of traffic, in plain words: `in-cluster Service, TCP`.

        Empty between the nodes' own networks, where no dataplane is in the path.
        """
        path, both = self._recorded_path(cell.topology), self._is_both_ways(cell)
        other = f" {cell.direction}".rstrip()
        way = {"reverse": " download", "forward": " upload" if both else ""}.get(cell.direction, other)
        variant = self.variant(cell)
        return "" if path.host_network else f"{path.title}, {variant.title or variant.name}{way}"

    def _recorded_path(self, topology: str) -> RecordedPath:
        """A topology; if the run did not record it, one named after it, which is null in a damaged store."""
        named = (topology or "unknown path").replace("-", " ")
        return self.paths.get(topology) or RecordedPath(named, topology == HOST_PATH)

    def variant(self, cell: Cell) -> StoredVariant:
        """The variant that measured a cell; if the run did not record it, one named after tool and transport."""
        return self.variants.get(cell.measured_by) or StoredVariant(" ".join(filter(None, cell.measured_by)))

    def has_figure(self, cell: Cell, column: str) -> bool:
        """Whether a cell's variant fills a column of `trials`; True where that was not recorded."""
        figures = self.variant(cell).figures
        return figures is None or column in figures

    @property
    def left_out(self) -> tuple[tuple[str, str, str], ...]:
        """Name, title and reason of each dataplane and topology that was requested and left out."""
        arms = [(arm.name, arm.title, arm.skipped or "") for arm in self.skipped]
        known = {name.partition("+")[0] for name, _, _ in arms}
        others = [
            (name, name, reason) for name, reason in skipped_reasons(self.parameters).items() if name not in known
        ]
        return (*arms, *others)

    def shape(self, arm: RunArm) -> int:
        """The index of an arm's shape: twins have one."""
        bases = list(dict.fromkeys(one.name.partition("+")[0] for one in self.arms))
        return bases.index(arm.name.partition("+")[0])

    def arm(self, name: str) -> RunArm:
        """The arm of this name."""
        return next(arm for arm in (*self.arms, *self.skipped) if arm.name == name)


def query_rows(con: duckdb.DuckDBPyConnection, sql: str, **parameters: object) -> list[dict[str, Any]]:
    """The rows of a query, through Arrow, whose times need no further package."""
    found: list[dict[str, Any]] = rows_of(con, sql, parameters).to_pylist()
    return found


def load_run(con: duckdb.DuckDBPyConnection, run_id: str) -> StoredRun:
    """Read a run.

    Raises:
        BadInput: the store has no such run.
        Unsupported: the store has left it out.
    """
    found = query_rows(con, "select * from runs where run_id = $run_id", run_id=run_id)
    if not found:
        for one in query_rows(con, "select * from left_out where run_id = $run_id", run_id=run_id):
            raise Unsupported(LeftOut(**one).sentence)
        known = query_rows(con, "select run_id from runs order by started_at desc limit 3")
        latest = ", ".join(row["run_id"] for row in known)
        others = f"the latest are {latest}" if latest else "it is empty"
        raise BadInput(f"there is no run {run_id!r} in this store; {others}")
    (about,) = load_runs(con, found)
    return about


def load_runs(con: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]]) -> list[StoredRun]:
    """Stored runs by their rows of `runs`; all of their visits and trials are read at once."""
    runs = [row["run_id"] for row in rows]
    visited: dict[str, list[str]] = {}
    for row in query_rows(con, _VISITED, runs=runs):
        visited.setdefault(row["run_id"], []).append(row["name"])
    measured: dict[str, list[Cell]] = {}
    for row in query_rows(con, _MEASURED, runs=runs):
        measured.setdefault(row["run_id"], []).append(Cell.of(row))
    return [_run(row, visited.get(row["run_id"], []), measured.get(row["run_id"], [])) for row in rows]


def _run(row: Mapping[str, Any], visited: Sequence[str | None], measured: list[Cell]) -> StoredRun:
    """A run by its row, with the dataplanes and the cells of its visits and trials in their order."""
    parameters: dict[str, Any] = json.loads(row["parameters"] or "{}")
    arms = recorded_arms(parameters, [name for name in visited if name])
    return StoredRun(
        run_id=row["run_id"],
        environment=row["environment"] or "",
        started_at=row["started_at"],
        trigger=row["trigger"],
        seed=row["seed"],
        parameters=parameters,
        provenance=json.loads(row["provenance"] or "{}"),
        arms=tuple(arm for arm in arms if arm.skipped is None),
        skipped=tuple(arm for arm in arms if arm.skipped is not None),
        cells=_cells(parameters, measured),
        variants=_variants(parameters),
        paths={
            str(entry["name"]): RecordedPath(str(entry["title"]), bool(entry["host_network"]))
            for entry in _recorded(parameters, "topologies", {"name", "title", "host_network"})
        },
    )


def _cells(parameters: dict[str, Any], measured: list[Cell]) -> tuple[Cell, ...]:
    """The measured cells: those planned in their order, then the others; at each of its scales, the smallest first."""
    named = {*Cell._fields} - {*StoredScale._fields}
    planned = [Cell.of(c) for c in _recorded(parameters, "cells", named)]
    places = {cell: place for place, cell in enumerate(dict.fromkeys(c.unscaled for c in [*planned, *measured]))}
    return tuple(sorted({*measured}, key=lambda cell: (places[cell.unscaled], cell.scale)))


def _variants(parameters: dict[str, Any]) -> dict[tuple[str, str], StoredVariant]:
    return {
        (entry["tool"], entry["transport"]): StoredVariant(
            str(entry["name"]), frozenset(entry["figures"]), str(entry.get("title") or "")
        )
        for entry in _recorded(parameters, "tools", {"tool", "transport", "name", "figures"})
    }


def _recorded(parameters: dict[str, Any], name: str, fields: set[str]) -> list[dict[str, Any]]:
    """The entries of a list that have these fields."""
    return [entry for entry in parameters.get(name) or [] if fields <= entry.keys()]
