"""A run's key figures, few and named, for whoever follows them from night to night outside of the store."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from analysis.database import Connection, query
from analysis.metrics import METRICS, Export, Metric

TRIALS: Final = "trials"

_OF_TRIALS: Final = "select outcome, count(*) as trials from trials where run_id = $run_id group by outcome"


def exports() -> Iterator[tuple[Metric, Export]]:
    """The metrics of which a key figure is made, with what is said of it."""
    return ((metric, metric.export) for metric in METRICS if metric.export is not None)


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
    for row in _rows(con, _of_paths(), about):
        if directions.get(str(row["topology"])) == row["direction"]:
            for _, export in exports():
                if row[export.figure] is not None:
                    place = name(export.figure, str(row["dataplane"]), str(row["topology"]))
                    found[place] = float(str(row[export.figure]))
    for row in _rows(con, _OF_TRIALS, about):
        found[name(TRIALS, str(row["outcome"]))] = float(str(row["trials"]))
    return found


def _of_paths() -> str:
    means = ", ".join(
        f"avg({metric.name}) filter (tool = '{export.tool}' and transport = '{export.transport}') as {export.figure}"
        for metric, export in exports()
    )
    return f"""
        select dataplane, topology, direction, {means} from visit_means where run_id = $run_id
        group by dataplane, topology, direction"""  # noqa: S608 - names of this project's metrics


def _rows(con: Connection, sql: str, about: Mapping[str, str]) -> Iterable[Mapping[str, object]]:
    rows: list[dict[str, object]] = query(con, sql, dict(about)).to_pylist()
    return rows
