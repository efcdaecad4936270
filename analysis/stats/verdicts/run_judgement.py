"""The judgement of a stored run: its figures, those of the runs that it continues, and those of earlier nights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from analysis import flags, metrics
from analysis.domain import CELL, Cell
from analysis.errors import BadInput, Unsupported
from analysis.metrics.metric import ComparedMetric
from analysis.stats import run
from analysis.stats.estimates.differences import Block
from analysis.stats.nights import history
from analysis.stats.nights.history import Method
from analysis.stats.run import StoredRun
from analysis.stats.verdicts.comparison import Comparison
from analysis.stats.verdicts.curves import Curve, find_curves
from analysis.stats.verdicts.judgement import CellOfArm, Family, MetricFigures, Plan, compare_run

NIGHTLY: Final = "nightly"
"""The trigger of runs that are compared with earlier nights, and that a regression fails."""

NIGHTS_OF_NOISE: Final = 7
"""So many earlier nights tell how the noise is spread over comparisons; more add little."""

_MOST_PIECES: Final = 40
"""More runs than this that continue one another must go round in a circle."""


@dataclass(frozen=True, slots=True)
class RunJudgement:
    """A run's comparisons in the order of metrics, paths and dataplanes; their families, the quoted first; curves."""

    comparisons: tuple[Comparison, ...] = ()
    families: tuple[Family, ...] = ()
    curves: tuple[Curve, ...] = ()


_Visits = dict[CellOfArm, dict[Block, float]]


def judge_run(con: duckdb.DuckDBPyConnection, about: StoredRun, method: Method) -> RunJudgement:
    """Compare all dataplanes of a run with each other, and each with itself at other scales."""
    if about.baseline is None or about.is_dealt:
        return RunJudgement()
    pieces = [about.run_id, *continued_runs(con, about.parameters)]
    nights = list(history.comparable_runs(con, about, method)) if about.trigger == NIGHTLY else []
    nights = [night for night in nights if night not in pieces][-NIGHTS_OF_NOISE:]
    rows = visit_means(con, [*pieces, *nights])
    own = [row for row in rows if row["run_id"] in pieces]
    past = [[row for row in rows if row["run_id"] == night] for night in nights]
    flagged = flags_by_place(con, pieces)
    figures = [
        one
        for metric in metrics.COMPARED
        if (metric.in_lab or not about.is_lab) and (one := _figures(about, metric, own, past, flagged))
    ]
    rounds_before = len({(row["run_id"], row["round"]) for row in own if row["run_id"] != about.run_id})
    plan = plan_of(about, pieces[:0:-1], rounds_before)
    return RunJudgement(
        *compare_run(figures, [arm.name for arm in about.arms], plan), find_curves(about, figures, plan)
    )


def plan_of(about: StoredRun, continued: Sequence[str], rounds_before: int) -> Plan:
    """How a run was planned that continues these, the earliest first, of which so many rounds were measured.

    A run stored by a version that did not look after each round has no margin among its parameters.
    """
    rounds, margin = about.parameters.get("rounds"), about.parameters.get("margin_ratio")
    if margin is None:
        return Plan()
    most_rounds = None if rounds is None else rounds + rounds_before
    return Plan(most_rounds, float(margin), (*continued, about.run_id))


def continued_runs(con: duckdb.DuckDBPyConnection, parameters: Mapping[str, Any]) -> list[str]:
    """The runs to whose rounds a run with these parameters adds, the latest first, as far as the store has them."""
    found: list[str] = []
    while (name := parameters.get("continues")) and name not in found and len(found) < _MOST_PIECES:
        try:
            earlier = run.load_run(con, str(name))
        except (BadInput, Unsupported):
            break
        found.append(earlier.run_id)
        parameters = earlier.parameters
    return found


def visit_means(con: duckdb.DuckDBPyConnection, runs: Sequence[str]) -> list[dict[str, Any]]:
    """The means of these runs' visits, each visit after those that it repeats."""
    names = ", ".join(metric.name for metric in metrics.COMPARED)
    return run.query_rows(
        con,
        f"""select run_id, visit, round, dataplane, {CELL}, {names} from visit_means
            where run_id in (select unnest($runs::varchar[])) order by visit""",  # noqa: S608 - this project's metrics
        runs=list(runs),
    )


def _figures(
    about: StoredRun,
    metric: ComparedMetric,
    own: Sequence[Mapping[str, Any]],
    past: Sequence[Sequence[Mapping[str, Any]]],
    flagged: Mapping[CellOfArm, list[tuple[list[str] | None, int]]],
) -> MetricFigures | None:
    """A metric's figures; None where the run has nothing to say of it."""
    cells = {c: about.path(c, metric.title) for c in about.cells if about.has_figure(c, metric.needed_column)}
    doubts = {place: flags.flag_effect(trials, metric.kind) for place, trials in flagged.items()}
    visits = visits_by_round(metric, own)
    ruled_out = {cell for (cell, _), doubt in doubts.items() if doubt.left_out}
    if not metric.leads:  # a path without any figure of it has nothing to compare
        cells = {cell: path for cell, path in cells.items() if cell in ruled_out or any(cell == c for c, _ in visits)}
    if not cells:
        return None
    return MetricFigures(metric, cells, visits, doubts, [visits_by_round(metric, night) for night in past])


def visits_by_round(metric: ComparedMetric, rows: Sequence[Mapping[str, Any]]) -> _Visits:
    """The visits of a metric by round; where a visit was repeated, its repetition counts as far as it was measured."""
    found: _Visits = {}
    for row in rows:
        if (value := row[metric.name]) is not None:
            found.setdefault((Cell.of(row), row["dataplane"]), {})[row["run_id"], row["round"]] = value
    return found


def flags_by_place(
    con: duckdb.DuckDBPyConnection, runs: Sequence[str]
) -> dict[CellOfArm, list[tuple[list[str] | None, int]]]:
    """Cell and dataplane -> each set of flags of the measured trials, and how many trials have it."""
    found = run.query_rows(
        con,
        f"""select {CELL}, dataplane, flags, count(*) as n from measurements
            where run_id in (select unnest($runs::varchar[])) group by all order by all""",  # noqa: S608 - a cell
        runs=list(runs),
    )
    places: dict[CellOfArm, list[tuple[list[str] | None, int]]] = {}
    for row in found:
        places.setdefault((Cell.of(row), row["dataplane"]), []).append((row["flags"], row["n"]))
    return places
