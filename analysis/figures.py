"""A run's key figures, few and named, for whoever follows them from night to night outside of the store."""

from collections.abc import Iterable, Mapping
from typing import Final

from analysis.database import Connection, query

THROUGHPUT: Final = "throughput"
"""Of iperf3 by TCP, bit/s, the mean over visits."""

COST: Final = "cost"
"""CPU seconds of both nodes per Gbit, the mean over visits."""

TRIALS: Final = "trials"

_OF_PATHS: Final = """
    select dataplane, topology, direction, avg(received_bps) as throughput, avg(cpu_s_per_gbit) as cost
    from visit_means where run_id = $run_id and tool = 'iperf3' and transport = 'tcp' group by all"""
_OF_TRIALS: Final = "select outcome, count(*) as trials from trials where run_id = $run_id group by outcome"


def name(figure: str, *of: str) -> str:
    """What a figure is called: `throughput ebpf pod-to-service`, or `trials measured`."""
    return " ".join((figure, *of))


def key_figures(con: Connection, run_id: str, directions: Mapping[str, str]) -> dict[str, float]:
    """The figures that were measured, by name.

    Args:
        con: a connection with the views of `analysis.database`.
        run_id: the run.
        directions: of each path, the one that tells most.
    """
    about = {"run_id": run_id}
    found: dict[str, float] = {}
    for row in _rows(con, _OF_PATHS, about):
        if directions.get(str(row["topology"])) == row["direction"]:
            for figure in (THROUGHPUT, COST):
                if row[figure] is not None:
                    found[name(figure, str(row["dataplane"]), str(row["topology"]))] = float(str(row[figure]))
    for row in _rows(con, _OF_TRIALS, about):
        found[name(TRIALS, str(row["outcome"]))] = float(str(row["trials"]))
    return found


def _rows(con: Connection, sql: str, about: Mapping[str, str]) -> Iterable[Mapping[str, object]]:
    rows: list[dict[str, object]] = query(con, sql, dict(about)).to_pylist()
    return rows
