"""What it costs to move to each dataplane: the time of a switch, and the connections that it broke."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import duckdb

from analysis import formatting
from analysis.stats import run
from analysis.stats.run import StoredRun

_SQL: Final = """
    select dataplane_requested as dataplane, count(*) as visits, median(switch_s + settle_s) as seconds,
           sum(connections_dropped)::bigint as dropped, sum(connections_held)::bigint as held,
           sum(new_connections_failed)::bigint as refused,
           max(udp_longest_gap_s) as silent_s
    from visits where run_id = $run_id and switch_s is not null and settle_s is not null and len(changes) > 0
    group by dataplane_requested
"""
_ROUNDED_FROM_S: Final = 10
NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True, slots=True)
class SwitchTotals:
    """All switches to one dataplane; None is not measured.

    Attributes:
        dataplane: its name.
        visits: how many switches there were.
        seconds: the median time from the first change to the proof.
        dropped: how many long-lived connections broke, over all switches.
        held: how many had been open.
        refused: how many new connections to Services failed, over all switches.
        silent_s: the longest time for which a Service did not answer.
    """

    dataplane: str
    visits: int
    seconds: float
    dropped: int | None = None
    held: int | None = None
    refused: int | None = None
    silent_s: float | None = None

    @property
    def took(self) -> str:
        """The time of a switch: `42 s`, or `42 s (median of 3)`."""
        return _seconds(self.seconds) + (f" (median of {self.visits})" if self.visits > 1 else "")

    @property
    def is_known(self) -> bool:
        """Whether long-lived connections were open that could break."""
        return bool(self.held) and self.dropped is not None

    @property
    def broken(self) -> str:
        """How many long-lived connections broke: `2 of 4`, `none of 4`."""
        return f"{self.dropped or 'none'} of {self.held}" if self.is_known else NOT_MEASURED

    @property
    def failed(self) -> str:
        """How many new connections failed: `12 in 3 switches`."""
        if self.refused is None:
            return NOT_MEASURED
        return f"{self.refused or 'none'} in {formatting.count(self.visits, 'switch', 'switches')}"

    @property
    def silence(self) -> str:
        """The longest time for which a Service did not answer."""
        return NOT_MEASURED if self.silent_s is None else f"up to {_seconds(self.silent_s)}"


COSTS: Final[dict[str, Callable[[SwitchTotals], str]]] = {
    "switch, until proven": lambda cost: cost.took,
    "long-lived connections dropped": lambda cost: cost.broken,
    "new connections failed": lambda cost: cost.failed,
    "Services did not answer for": lambda cost: cost.silence,
}
"""What a move costs: name -> its text."""


def switch_costs(con: duckdb.DuckDBPyConnection, about: StoredRun) -> list[SwitchTotals]:
    """The switches of a run on a cluster; none in the lab, which is rebuilt for each dataplane."""
    if about.is_lab:
        return []
    found = {row["dataplane"]: SwitchTotals(**row) for row in run.query_rows(con, _SQL, run_id=about.run_id)}
    return [found[arm.name] for arm in about.arms if arm.name in found]


def _seconds(seconds: float) -> str:
    return formatting.duration(seconds) if seconds >= _ROUNDED_FROM_S else f"{seconds:.1f} s"
