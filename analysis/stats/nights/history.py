"""The earlier nights with which a run may be compared, and the changes over them."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import duckdb

from analysis import flags, formatting, metrics
from analysis.domain import CELL, Cell
from analysis.flags import FigureKind
from analysis.stats import run
from analysis.stats.nights import regressions
from analysis.stats.nights.level_since import LevelSince
from analysis.stats.nights.nightly import Night, Series
from analysis.stats.nights.regressions import LIMIT_RATIO, LevelChange
from analysis.stats.run import StoredRun

MOST_NIGHTS: Final = 90
"""The length of the history: a quarter, within which the machine is likely to be the same."""

Method = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From a stored run's parameters to those that affect its trials; runs in which these are equal are comparable.

It is an argument because only the caller knows the options, with their defaults for runs that are older than an option.
"""

_MOST_BESIDE: Final = 4


@dataclass(frozen=True, slots=True)
class History:
    """The data in which a run's changes were searched: series of comparable nights, this one included, since the first.

    `limit`: the least change that is a regression, as a share or in points. `detectable_effect`: the smallest change of
    throughput found by its third night, as a share; None: too few nights. `notes`: sentences on the changes as a whole.
    `levels`: of each series since its last change.
    """

    nights: int
    since: datetime | None
    series: int
    limit: float
    detectable_effect: float | None
    notes: tuple[str, ...] = ()
    levels: tuple[LevelSince, ...] = ()

    @property
    def sentence(self) -> str:
        """How many series and nights were searched, and which change would have been found."""
        since = f" since {self.since:%Y-%m-%d}" if self.since else ""
        searched = f"Searched {formatting.count(self.series, 'series', 'series')} of {self.nights} nights{since}"
        if self.detectable_effect is None:
            return f"{searched}; these are too few to show any change."
        smallest = formatting.percent_rounded_up(self.detectable_effect)
        return f"{searched}. A change of throughput by {smallest} would show by its third night."


def find_history(
    con: duckdb.DuckDBPyConnection, about: StoredRun, method: Method
) -> tuple[tuple[LevelChange, ...], History | None]:
    """The changes over the nights that end with this run; no history without an earlier comparable night."""
    comparable = comparable_runs(con, about, method)
    series = nightly_series(con, about, list(comparable)) if len(comparable) > 1 else []
    seen = {night.run_id for one in series for night in one.nights}  # nights may have no scale in common
    nights = {night: began for night, began in comparable.items() if night in seen}
    if len(nights) < 2:  # noqa: PLR2004 - this run alone
        return (), None
    limit = float(about.parameters.get("regression_limit_ratio") or LIMIT_RATIO)  # a run may be older than this option
    found = regressions.find_changes(series, limit)
    since = min(filter(None, nights.values()), default=None)
    notes = regressions.baseline_changes(found.changes, [arm.name for arm in about.arms[1:]])
    history = History(len(nights), since, len(series), limit, found.detectable_effect, notes, found.levels)
    return tuple(_with_provenance(con, found.changes, list(nights))), history


def comparable_runs(con: duckdb.DuckDBPyConnection, about: StoredRun, method: Method) -> dict[str, datetime | None]:
    """This run and the earlier ones of its environment, trigger and method: run -> start time, the oldest first."""
    rows = run.query_rows(
        con,
        """select run_id, started_at, parameters from runs
           where run_id = $run_id
              or (environment = $environment and trigger is not distinct from $trigger and started_at < $started_at)
           order by run_id = $run_id desc, started_at desc, run_id""",
        run_id=about.run_id,
        environment=about.environment,
        trigger=about.trigger,
        started_at=about.started_at,
    )
    wanted = method(about.parameters)
    found: dict[str, datetime | None] = {}
    for row in rows:
        if method(json.loads(row["parameters"] or "{}")) == wanted:
            found[row["run_id"]] = row["started_at"]
        if len(found) == MOST_NIGHTS:
            break
    return dict(reversed(found.items()))


def nightly_series(con: duckdb.DuckDBPyConnection, about: StoredRun, nights: list[str]) -> list[Series]:
    """Every figure of this run, night by night, in the order of metrics, paths and dataplanes.

    In the lab only relative to the baseline, since absolute levels drift by a tenth in an hour; elsewhere both.
    """
    known = [m for m in metrics.COMPARED if m.in_lab or not about.is_lab]
    readings = (True,) if about.is_lab else (False, True)
    places = {night: place for place, night in enumerate(nights)}
    found: dict[tuple[str, Cell, str, bool], list[dict[str, Any]]] = {}
    baseline = about.baseline.name if about.baseline else None
    for row in run.query_rows(con, _sql(), nights=nights, baseline=baseline):
        cell = Cell.of(row)
        found.setdefault((row["metric"], cell, row["dataplane"], row["relative"]), []).append(row)
    flagged = _flagged(con, nights)
    series = []
    for metric, cell, arm, relative in itertools.product(known, about.cells, about.arms, readings):
        rows = found.get((metric.name, cell, arm.name, relative), [])
        rows.sort(key=lambda row: places[row["run_id"]])
        if rows and rows[-1]["run_id"] == about.run_id:
            doubtful = {night: flagged.get((night, metric.kind, cell), set()) for night in nights}
            against = baseline if relative else None
            sides = {arm.name, baseline} if relative else {arm.name}
            values = tuple(
                Night(r["run_id"], r["started_at"], r["value"], r["error"], flagged=bool(doubtful[r["run_id"]] & sides))
                for r in rows
            )
            series.append(Series(metric, cell, about.path(cell, metric.title), arm.name, against, values))
    return series


def _flagged(con: duckdb.DuckDBPyConnection, nights: list[str]) -> dict[tuple[str, FigureKind, Cell], set[str]]:
    """Night, kind of figure and cell -> the dataplanes whose figure has flagged or left-out trials."""
    rows = run.query_rows(
        con,
        f"""select distinct run_id, {CELL}, dataplane, flags from measurements
            where len(flags) > 0 and run_id in (select unnest($nights::varchar[]))""",  # noqa: S608 - a cell's columns
        nights=nights,
    )
    found: dict[tuple[str, FigureKind, Cell], set[str]] = {}
    for row in rows:
        cell = Cell.of(row)
        for kind in {metric.kind for metric in metrics.COMPARED}:
            if flags.flag_effect([(row["flags"], 1)], kind).mark:
                found.setdefault((row["run_id"], kind, cell), set()).add(row["dataplane"])
    return found


def _sql() -> str:
    """The nightly means of every metric, absolute and, where a round has both, relative to the baseline.

    For a metric on a ratio scale, a night with a visit that is not above zero has no value.
    """
    names = ", ".join(metric.name for metric in metrics.COMPARED)
    ratios = ", ".join(f"'{metric.name}'" for metric in metrics.COMPARED if metric.scale == "ratio")
    return f"""
        with visits as (
            unpivot (
                select run_id, run_started_at, round, dataplane, {CELL}, {names}
                from visit_means where run_id in (select unnest($nights::varchar[]))
            ) on {names} into name metric value figure
        ),
        scaled as (
            select * exclude (figure),
                   case when metric not in ({ratios}) then figure when figure > 0 then ln(figure) end as value
            from visits
        ),
        compared as (
            select *, false as relative from scaled
            union all by name
            select s.* exclude (value), s.value - b.value as value, true as relative
            from scaled as s
            join scaled as b using (run_id, metric, {CELL}, round)
            where b.dataplane = $baseline and s.dataplane <> $baseline
        )
        select run_id, any_value(run_started_at) as started_at, metric, {CELL}, dataplane,
               relative, avg(value) as value, stddev_samp(value) / sqrt(count(value)) as error
        from compared
        group by run_id, metric, {CELL}, dataplane, relative
        having count(value) = count(*)"""  # noqa: S608 - names of this project's metrics


def _with_provenance(
    con: duckdb.DuckDBPyConnection, found: Sequence[LevelChange], nights: list[str]
) -> Iterator[LevelChange]:
    """Each change with the other differences to the comparable night before, such as a new kernel."""
    began = {change.run_id for change in found}
    wanted = began | {nights[nights.index(night) - 1] for night in began}
    rows = run.query_rows(
        con, "select run_id, provenance from runs where list_contains($runs, run_id)", runs=sorted(wanted)
    )
    known = {row["run_id"]: json.loads(row["provenance"] or "{}") for row in rows}
    for change in found:
        before = known.get(nights[nights.index(change.run_id) - 1], {})
        yield replace(change, beside=tuple(changed_provenance(before, known.get(change.run_id, {}))))


def changed_provenance(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The differences between two nights' provenance, at most a few: `kernel 6.18.5 → 6.18.6`."""
    differing = []
    for name in [name for name in before if name in after and before[name] != after[name]]:
        plain = all(isinstance(side[name], str | int | float) for side in (before, after))
        shown = f" {before[name]} → {after[name]}" if plain else " changed"
        differing.append(name.replace("_", " ") + shown)
    more = len(differing) - _MOST_BESIDE
    return [*differing[:_MOST_BESIDE], f"{more} more"] if more > 0 else differing
