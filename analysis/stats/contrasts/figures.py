"""The figures of two groups of runs that can be compared, from a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import duckdb

from analysis import flags, metrics
from analysis.domain import LAB, Cell, StoredScale
from analysis.metrics.metric import ComparedMetric
from analysis.stats.change_points import detection
from analysis.stats.contrasts.group_contrasts import Contrasted
from analysis.stats.contrasts.run_groups import RunGroup
from analysis.stats.contrasts.sides import ALONE, Nights, Scatter
from analysis.stats.estimates.moderation import Key
from analysis.stats.nights import history
from analysis.stats.nights.history import Method
from analysis.stats.verdicts.judgement import CellOfArm
from analysis.stats.verdicts.run_judgement import flags_by_place, visit_means, visits_by_round

T = TypeVar("T")

_FEWEST_NIGHTS: Final = 7
"""Of a history that says how far nights scatter: fewer would make every interval wider than any difference."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What the options of a run mean for comparing runs.

    Attributes:
        method: returns the parameters that decide what a trial measures.
        quantities: field -> the trials whose figures are another quantity where it differs, by how `TOOL TRANSPORT`
            begins.
        names: field -> the option as it is typed.
        any_method: whether such figures are compared all the same.
    """

    method: Method
    quantities: Mapping[str, Sequence[str]]
    names: Mapping[str, str]
    any_method: bool = False


@dataclass(frozen=True, slots=True)
class SideRows:
    """What a side measured: the means of the visits of its runs that count, and the flags of their trials.

    `scale`: as if at which its cells are compared; None: at their own.
    """

    group: RunGroup
    rows: Sequence[Mapping[str, Any]]
    flagged: Mapping[CellOfArm, list[tuple[list[str] | None, int]]]
    scale: StoredScale | None = None

    @property
    def scales(self) -> set[StoredScale]:
        """The scales at which it measured."""
        return {cell.scale for one in self.group.runs for cell in one.cells}

    def at(self, cell: Cell) -> Cell:
        """A cell as it is compared."""
        return cell if self.scale is None else cell.at(self.scale)

    @property
    def planned(self) -> dict[Cell, None]:
        """The cells of its trials, measured or not."""
        return dict.fromkeys(self.at(cell) for one in self.group.runs for cell in one.cells)

    @property
    def measured(self) -> set[tuple[Cell, str]]:
        """The cells and dataplanes that have a visit that counts."""
        return {(self.at(Cell.of(row)), row["dataplane"]) for row in self.rows}

    def path(self, cell: Cell, title: str = "") -> str:
        """The name of a cell's path."""
        return next(one.path(own, title) for one in self.group.runs for own in one.cells if self.at(own) == cell)

    def has(self, cell: Cell, metric: ComparedMetric) -> bool:
        """Whether a cell's variant has a metric."""
        column = metric.needed_column
        return any(self.at(own) == cell and one.has_figure(own, column) for one in self.group.runs for own in one.cells)

    def nights(self, metric: ComparedMetric, known: Mapping[str, str], scatter: Scatter) -> Nights:
        """The figures of a metric, of the dataplanes that have a name in `known`, by that name."""

        def renamed(found: Mapping[CellOfArm, T]) -> dict[CellOfArm, T]:
            return {(self.at(cell), known[name]): one for (cell, name), one in found.items() if name in known}

        runs = [renamed(visits_by_round(metric, self._of(pieces))) for pieces in self.group.pieces]
        doubts = {place: flags.flag_effect(found, metric.kind) for place, found in renamed(self.flagged).items()}
        return Nights(runs, doubts, scatter)

    def _of(self, pieces: Sequence[str]) -> list[Mapping[str, Any]]:
        """The rows of these runs.

        Visits of another tool may have no round. Then they are independent, and pairs may be taken in any order: the
        first visits of the dataplanes together, and so on.
        """
        found: list[Mapping[str, Any]] = []
        places: dict[tuple[str, str], dict[int, int]] = {}
        for row in self.rows:
            if row["run_id"] in pieces:
                own = places.setdefault((row["run_id"], row["dataplane"]), {})
                place = own.setdefault(row["visit"], len(own) + 1)
                found.append(row if row["round"] is not None else {**row, "round": -place})
        return found


def read_side(con: duckdb.DuckDBPyConnection, group: RunGroup) -> SideRows:
    """What a side measured."""
    return SideRows(group, visit_means(con, group.run_ids), flags_by_place(con, group.run_ids))


def contrasted_figures(
    con: duckdb.DuckDBPyConnection,
    sides: tuple[SideRows, SideRows],
    names: Mapping[str, str],
    cells: Sequence[Cell],
    compared: Compared,
) -> list[Contrasted]:
    """The figures of all metrics that both sides, A and B, may have in these cells.

    `names`: the name in A of each dataplane that is compared, the baseline first -> its name in B.
    """
    to_a = ({name: name for name in names}, {own: name for name, own in names.items()})
    scatters = [_scatter(con, side, names, known, compared) for side, known in zip(sides, to_a, strict=True)]
    if sides[0].group.environment == sides[1].group.environment:  # one that was measured differently has the other's
        scatters = [scatters[0] or scatters[1], scatters[1] or scatters[0]]
    in_lab = LAB in {side.group.environment for side in sides}
    found = []
    for metric in metrics.COMPARED:
        own = {cell: sides[0].path(cell, metric.title) for cell in cells if all(s.has(cell, metric) for s in sides)}
        if own and (metric.in_lab or not in_lab):
            a, b = (
                side.nights(metric, known, scatter.get(metric.name, {}))
                for side, known, scatter in zip(sides, to_a, scatters, strict=True)
            )
            found.append(Contrasted(metric, own, a, b))
    return found


def _scatter(
    con: duckdb.DuckDBPyConnection,
    side: SideRows,
    names: Mapping[str, str],
    known: Mapping[str, str],
    compared: Compared,
) -> dict[str, Scatter]:
    """How far nights of the latest run's environment, trigger and method scatter, by metric; none without a history."""
    about = side.group.runs[-1]
    nights = list(history.comparable_runs(con, about, compared.method))
    baseline = next(iter(names))
    if len(nights) < _FEWEST_NIGHTS or about.baseline is None or known.get(about.baseline.name) != baseline:
        return {}
    series = history.nightly_series(con, about, nights)
    found: dict[str, dict[Key, tuple[float, float]]] = {}
    for place, variance in detection.night_variances([one.searched for one in series]).items():
        one = series[place]
        if one.dataplane in known:
            reading = (ALONE if one.against is None else baseline, known[one.dataplane])
            found.setdefault(one.metric.name, {})[side.at(one.cell), reading] = variance
    return dict(found)
