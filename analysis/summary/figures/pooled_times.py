"""The times until changes worked, of all visits of a dataplane together, for percentiles that one trial can't give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb

from analysis import flags, formatting
from analysis.domain import CELL
from analysis.flags import NO_DOUBT, FlagEffect
from analysis.stats import run
from analysis.stats.estimates.late_times import FOR_A_PERCENTILE, late_times
from analysis.stats.run import StoredRun
from analysis.stats.verdicts.run_judgement import continued_runs

_TIMES: Final = f"""
    select dataplane, {CELL},
           coalesce(flatten(list(programming_s) filter (programming_s is not null)), []) as seconds,
           coalesce(sum(programming_failed) filter (known), 0)::bigint as failed,
           count(distinct (run_id, visit)) filter (known) as visits,
           list(coalesce(flags, [])) as flags
    from (
        select *, programming_s is not null or (programming_observed = 0 and programming_failed > 0) as known
        from measurements where run_id in (select unnest($runs::varchar[])) and programming_observed is not null
    )
    group by all
"""  # noqa: S608 - the columns are this project's
"""No flag voids how many changes a trial observed, so trials are counted here whose times were left out."""

MEANING: Final = (
    "Each change counts once on each measured node, and all visits of a dataplane count together. One that never "
    f"worked is later than all others. Below {FOR_A_PERCENTILE} observations there is no 99th percentile. "
    "Observations of one visit resemble each other, so these figures have no intervals; those of the medians above are "
    "of visits."
)

TITLE: Final = "How late changes of the cluster work, all visits of a dataplane together:"
COLUMNS: Final = ("", "dataplane", "observations", "never worked", "median", "99 % within", "latest")


@dataclass(frozen=True, slots=True)
class PooledTimes:
    """The times until changes of a kind worked, of all visits of a dataplane at a scale.

    Attributes:
        path: the kind of change and the scale, in words.
        dataplane: its name.
        visits: in which they were observed.
        observed: changes that worked, counted on each measured node.
        failed: changes that never did, likewise.
        p50_s: their median; None where that many never worked.
        p99_s: their 99th percentile; None likewise, and below 100 observations.
        worst_s: the latest; None where one never worked.
        doubt: the effect of flags on them.
    """

    path: str
    dataplane: str
    visits: int
    observed: int
    failed: int
    p50_s: float | None
    p99_s: float | None
    worst_s: float | None
    doubt: FlagEffect = NO_DOUBT

    @property
    def texts(self) -> tuple[str, ...]:
        """Its line of a table with `COLUMNS`; each figure has the mark of flagged trials."""
        counts = (str(self.observed + self.failed), str(self.failed))
        times = (formatting.quantity(each, "s") for each in (self.p50_s, self.p99_s, self.worst_s))
        return (self.path, self.dataplane, *(figure + self.doubt.mark for figure in (*counts, *times)))


def meaning(found: Sequence[PooledTimes]) -> str:
    """How to read the table of these times, what its mark says, and how many of its trials are flagged."""
    doubt = sum((one.doubt for one in found), NO_DOUBT)
    return f"{MEANING} {flags.LEGEND} Here {doubt.sentence}." if doubt.mark else MEANING


def find_pooled_times(con: duckdb.DuckDBPyConnection, about: StoredRun) -> tuple[PooledTimes, ...]:
    """Those of a run and of those that it continues, in the order of its cells and dataplanes.

    There are none in the lab, and in runs before they were stored.
    """
    cells, arms = list(about.cells), [arm.name for arm in about.arms]
    runs = [about.run_id, *continued_runs(con, about.parameters)]
    rows = [(about.cell(row), row) for row in run.query_rows(con, _TIMES, runs=runs)]
    known = [(cell, row) for cell, row in rows if cell in cells and row["dataplane"] in arms]
    known.sort(key=lambda found: (cells.index(found[0]), arms.index(found[1]["dataplane"])))
    found = (_of_row(about.path(cell), row) for cell, row in known)
    return tuple(one for one in found if one.visits or one.doubt.left_out)


def _of_row(path: str, row: Mapping[str, Any]) -> PooledTimes:
    doubt = flags.flag_effect(((carried, 1) for carried in row["flags"]), "programming")
    return replace(pooled(path, row["dataplane"], row["visits"], row["seconds"], row["failed"]), doubt=doubt)


def pooled(path: str, dataplane: str, visits: int, seconds: Sequence[float], failed: int) -> PooledTimes:
    """The figures of single times; `failed` changes never worked."""
    late = late_times(seconds, failed)
    return PooledTimes(path, dataplane, visits, len(seconds), failed, late.p50_s, late.p99_s, late.worst_s)
