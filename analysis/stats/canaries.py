"""The warning for a run whose canaries do not vary."""

from collections.abc import Sequence
from typing import Final

import duckdb

from analysis.stats import run

_FEWEST_VISITS: Final = 4
_BITS: Final = 1e9


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
