"""The cost of switching to each dataplane: time and broken connections."""

from dataclasses import dataclass

import duckdb

from analysis.stats import run
from analysis.stats.run import StoredRun

_SQL = """
    select dataplane_requested as dataplane, count(*) as visits, median(switch_s + settle_s) as seconds,
           sum(connections_dropped)::bigint as dropped, sum(connections_held)::bigint as held
    from visits where run_id = $run_id and switch_s is not null and settle_s is not null and len(changes) > 0
    group by dataplane_requested
"""


@dataclass(frozen=True, slots=True)
class SwitchCost:
    """All switches to one dataplane. `seconds`: the median time from the first change to the proof.

    `held`, `dropped`: long-lived connections over all switches, open and broken; None: not recorded.
    """

    dataplane: str
    visits: int
    seconds: float
    dropped: int | None
    held: int | None

    @property
    def broken(self) -> str | None:
        """How many connections broke, as `2 of 4`; None where none were open."""
        return f"{self.dropped} of {self.held}" if self.held and self.dropped is not None else None


def switch_costs(con: duckdb.DuckDBPyConnection, about: StoredRun) -> list[SwitchCost]:
    """The switches of a run on a cluster; none in the lab, which is rebuilt for each dataplane."""
    if about.is_lab:
        return []
    found = {row["dataplane"]: SwitchCost(**row) for row in run.query_rows(con, _SQL, run_id=about.run_id)}
    return [found[arm.name] for arm in about.arms if arm.name in found]


def switch_cost_sentences(con: duckdb.DuckDBPyConnection, about: StoredRun) -> tuple[str, ...]:
    """A sentence for each dataplane with a switch, in the order of the run's dataplanes."""
    titles = {arm.name: arm.title for arm in about.arms}
    return tuple(_sentence(each, titles[each.dataplane]) for each in switch_costs(con, about))


def _sentence(switch: SwitchCost, title: str) -> str:
    often = f" (median of {switch.visits} switches)" if switch.visits > 1 else ""
    seconds = f"{switch.seconds:.0f}" if switch.seconds >= 10 else f"{switch.seconds:.1f}"  # noqa: PLR2004 - ten seconds
    took = f"Switching to {title} took {seconds} s until it was proven{often}"
    if switch.broken is None:
        return f"{took}."
    return (
        f"{took} and broke {switch.broken if switch.dropped else 'none of ' + str(switch.held)} long-lived connections."
    )
