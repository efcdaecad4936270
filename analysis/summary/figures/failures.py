"""The failures of a run: each reason once, with the trials and visits that it stopped."""

from dataclasses import dataclass

import duckdb

from analysis.domain import Cell
from analysis.stats import run
from analysis.stats.run import StoredRun

_CELL = ", ".join(f"{name} := t.{name}" for name in Cell._fields)
_TRIALS = f"""
    select coalesce(t.error, v.proof_reason, v.error, 'no reason was recorded') as reason, count(*) as n,
           list(distinct struct_pack(dataplane := v.dataplane_requested, {_CELL})) as places
    from trials t left join visits v using (run_id, visit) left join runs r using (run_id)
    where t.run_id = $run_id and (t.outcome <> 'not-run' or t.error not like 'the run ended before %')
      and (t.outcome <> 'measured' or counts(v.proof, r.environment) is not true)
    group by 1 order by n desc, reason
"""  # noqa: S608 - the columns are this project's
_VISITS = """
    select error as reason, list(dataplane_requested order by visit) as dataplanes from visits
    where run_id = $run_id and error is not null
      and exists (select 1 from trials t where t.run_id = visits.run_id and t.visit = visits.visit
                                           and t.outcome <> 'not-run')
    group by error order by min(visit)
"""


@dataclass(frozen=True, slots=True)
class FailureCount:
    """A reason, and what it stopped. `count`: trials; 0 where it failed a visit after its trials."""

    reason: str
    count: int
    where: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The number of trials, or the visits, and the reason."""
        return f"{self.count} x {self.reason}" if self.count else f"{', '.join(self.where)}: {self.reason}"


def find_failures(con: duckdb.DuckDBPyConnection, about: StoredRun) -> tuple[FailureCount, ...]:
    """The reasons of failed trials, then those of visits that failed after their trials."""
    failures: dict[str, FailureCount] = {}
    for row in run.query_rows(con, _TRIALS, run_id=about.run_id):
        places = sorted(
            f"{place['dataplane'] or 'an unknown dataplane'} on {about.path(about.cell(place))}"
            for place in row["places"]
        )
        failures[row["reason"]] = FailureCount(row["reason"], row["n"], tuple(places))
    for row in run.query_rows(con, _VISITS, run_id=about.run_id):
        visits = tuple(dict.fromkeys(f"a visit of {name}" for name in row["dataplanes"]))
        failures.setdefault(row["reason"], FailureCount(row["reason"], 0, visits))
    return tuple(failures.values())
