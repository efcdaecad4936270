"""What the host network of each visit tells: that a visit is off, or that the canaries of a run do not vary."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from analysis import formatting
from analysis.stats import run
from analysis.stats.change_points.night_noise import GAUSSIAN
from analysis.stats.estimates.intervals import as_share

OFF_RATIO: Final = 0.1
"""A visit whose reference is within a tenth of its dataplane's others is not off."""

_OFF_SPREADS: Final = 5.0
"""Nor is one within so many standard deviations of all visits. In simulations of normal noise, with and without drift
between rounds, this repeats 0.1 to 0.7 % of good visits, and finds nearly all that lose 20 % where the noise is 2 %."""

_FEWEST_OTHERS: Final = 2
_FEWEST_VISITS: Final = 4
_BITS: Final = 1e9


@dataclass(frozen=True, slots=True)
class VisitReference:
    """The throughput of the host network during a visit, bit/s: each measurement of it."""

    visit: int
    dataplane: str
    measured_bps: tuple[float, ...]


def visits_off(references: Sequence[VisitReference]) -> dict[int, str]:
    """The visits during which the host network was off the same dataplane's other visits. Pure.

    Only visits of one dataplane are compared with each other, since the host network may move with the dataplane. A
    visit with fewer than two others to be compared with is never off.

    Returns:
        visit -> why, as a clause.
    """
    logs = {r.visit: (r.dataplane, [math.log(bps) for bps in r.measured_bps if bps > 0]) for r in references}
    known = {visit: (dataplane, statistics.fmean(own)) for visit, (dataplane, own) in logs.items() if own}
    others: dict[int, float] = {}
    for visit, (dataplane, _) in known.items():
        beside = [log for other, (name, log) in known.items() if name == dataplane and other != visit]
        if len(beside) >= _FEWEST_OTHERS:
            others[visit] = statistics.median(beside)
    if not others:
        return {}
    deviations = {visit: known[visit][1] - usual for visit, usual in others.items()}
    spread = GAUSSIAN * statistics.median(abs(deviation) for deviation in deviations.values())
    found = {}
    for visit, deviation in deviations.items():
        if abs(deviation) > _OFF_SPREADS * spread and abs(as_share(deviation)) > OFF_RATIO:
            dataplane, log = known[visit]
            figure, usual = (formatting.quantity(math.exp(value), "bit/s") for value in (log, others[visit]))
            size = formatting.percent(as_share(deviation), sign=False)
            found[visit] = (
                f"the host network had {figure}, {size} {'more' if deviation > 0 else 'less'} than in the other visits "
                f"of {dataplane} ({usual})"
            )
    return found


def canary_warning(con: duckdb.DuckDBPyConnection, run_id: str) -> str | None:
    """The warning of `constant_canaries` for a run; None also for too few visits."""
    found = run.query_rows(
        con,
        """select canary_before_bps as before, canary_after_bps as after from visits
           where run_id = $run_id and coalesce(canary_before_bps, canary_after_bps) is not null""",
        run_id=run_id,
    )
    figures = [bps for row in found for bps in (row["before"], row["after"]) if bps is not None]
    return constant_canaries(figures) if len(found) >= _FEWEST_VISITS else None


def constant_canaries(figures_bps: Sequence[float]) -> str | None:
    """A warning if all of these are equal to three digits, else None. Pure.

    Measurements vary in the third digit. Equal ones are set by something else: a shaped or saturated link, or an iperf3
    that divides by something other than the time that it took.
    """
    distinct = {f"{bps / _BITS:.3g}" for bps in figures_bps}
    if len(distinct) != 1:
        return None
    return (
        f"All {len(figures_bps)} canaries measured {distinct.pop()} Gbit/s, the same to three digits: a limit of the "
        "link, or a fault of the measuring program; they can't tell a good visit from a bad one."
    )
