"""The figures of two groups of runs that can be compared, from a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from analysis import flags
from analysis.domain import LAB, Cell
from analysis.metric import ComparedMetric
from analysis.stats import change_points, history, metrics
from analysis.stats.contrast_sides import ALONE, Nights, Scatter
from analysis.stats.contrasts import Contrasted
from analysis.stats.differences import Values
from analysis.stats.history import Method
from analysis.stats.judgement import Place
from analysis.stats.moderation import Key
from analysis.stats.run_groups import RunGroup
from analysis.stats.run_judgement import flags_by_place, visit_means, visits_by_round

_FEWEST_NIGHTS: Final = 7
"""Of a history that says how far nights scatter: fewer would make every interval wider than any difference."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What the options of a run mean for comparing runs.

    Attributes:
        method: returns the parameters that decide what a trial measures.
        quantities: field -> the trials whose figures are another quantity where it differs, by how `TOOL TRANSPORT`
            begins.
        any_method: whether such figures are compared all the same.
    """

    method: Method
    quantities: Mapping[str, Sequence[str]]
    any_method: bool = False


def contrasted_figures(
    con: duckdb.DuckDBPyConnection,
    groups: tuple[RunGroup, RunGroup],
    names: Mapping[str, str],
    cells: Sequence[Cell],
    compared: Compared,
) -> list[Contrasted]:
    """The figures of all metrics that both sides may have."""
    about = groups[0].runs[0]
    to_a = ({name: name for name in names}, {own: name for name, own in names.items()})
    rows = [visit_means(con, group.run_ids) for group in groups]
    flagged = [flags_by_place(con, group.run_ids) for group in groups]
    scatters = [_scatter(con, group, names, known, compared) for group, known in zip(groups, to_a, strict=True)]
    if groups[0].environment == groups[1].environment:  # one that was measured differently has the other's
        scatters = [scatters[0] or scatters[1], scatters[1] or scatters[0]]
    in_lab = LAB in {group.environment for group in groups}
    found = []
    for metric in metrics.COMPARED:
        if in_lab and not metric.in_lab:
            continue
        own = {c: about.path(c, metric.title) for c in cells if all(_has(group, c, metric) for group in groups)}
        sides = [
            Nights(
                [
                    _renamed(visits_by_round(metric, [row for row in side if row["run_id"] in pieces]), known)
                    for pieces in group.pieces
                ],
                {
                    (cell, known[name]): flags.flag_effect(trials, metric.kind)
                    for (cell, name), trials in marks.items()
                    if name in known
                },
                scatter.get(metric.name, {}),
            )
            for group, side, marks, scatter, known in zip(groups, rows, flagged, scatters, to_a, strict=True)
        ]
        if own:
            found.append(Contrasted(metric, own, *sides))
    return found


def _has(group: RunGroup, cell: Cell, metric: ComparedMetric) -> bool:
    return any(cell in run.cells and run.has_figure(cell, metric.needed_column) for run in group.runs)


def _renamed(visits: Mapping[Place, Values], known: Mapping[str, str]) -> dict[Place, Values]:
    """The visits of the common dataplanes, by their names in A."""
    return {(cell, known[name]): values for (cell, name), values in visits.items() if name in known}


def _scatter(
    con: duckdb.DuckDBPyConnection,
    group: RunGroup,
    names: Mapping[str, str],
    known: Mapping[str, str],
    compared: Compared,
) -> dict[str, Scatter]:
    """How far nights of the latest run's environment, trigger and method scatter, by metric; none without a history."""
    about = group.runs[-1]
    nights = list(history.comparable_runs(con, about, compared.method))
    baseline = next(iter(names))
    if len(nights) < _FEWEST_NIGHTS or about.baseline is None or known.get(about.baseline.name) != baseline:
        return {}
    series = history.nightly_series(con, about, nights)
    found: dict[str, dict[Key, tuple[float, float]]] = {}
    for place, variance in change_points.night_variances([one.searched for one in series]).items():
        one = series[place]
        if one.dataplane in known:
            reading = (ALONE if one.against is None else baseline, known[one.dataplane])
            found.setdefault(one.metric.name, {})[one.cell, reading] = variance
    return dict(found)
