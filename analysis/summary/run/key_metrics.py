"""A run's key figures by name, for monitoring outside the store."""

from collections.abc import Mapping
from typing import get_args

import duckdb

from analysis.domain import StoredScale
from analysis.metrics import KINDS, OUTCOMES, TRIALS, exports, figure_name
from analysis.stats import run
from analysis.summary.answer.answer import Answer
from analysis.summary.figures.traffic import Claim, count_claims
from analysis.summary.run.summary import Summary


def key_figures(con: duckdb.DuckDBPyConnection, summary: Summary, directions: Mapping[str, str]) -> dict[str, float]:
    """The measured key figures, by name; and of the answer, on how many kinds of traffic each dataplane stands how.

    Those of paths are at the largest scale, as the answer is. `directions`: topology -> the direction whose figure is
    exported.
    """
    found = answer_figures(summary.answer) if summary.answer is not None else {}
    largest = max(run.load_run(con, summary.run_id).scales, default=StoredScale())
    for row in run.query_rows(con, _of_paths(), run_id=summary.run_id, **largest._asdict()):
        if directions.get(str(row["topology"])) == row["direction"]:
            for _, export in exports():
                if row[export.figure] is not None:
                    place = figure_name(export.figure, str(row["dataplane"]), str(row["topology"]))
                    found[place] = float(str(row[export.figure]))
    counts = {
        "measured": summary.trials_measured,
        "failed": summary.trials_failed,
        "not-run": summary.trials_not_run,
    }
    # zeros too, since a gauge without a figure keeps that of the run before
    found |= {figure_name(TRIALS, outcome): float(counts[outcome]) for outcome in OUTCOMES}
    return found


def answer_figures(answer: Answer) -> dict[str, float]:
    """On how many kinds of traffic each dataplane is good, worse, mixed and undecided, zeros too; empty without any."""
    counted = {side.name: count_claims(answer.kinds, side.name) for side in answer.sides if answer.kinds}
    return {
        figure_name(KINDS, name, claim): float(counts[claim])
        for name, counts in counted.items()
        for claim in get_args(Claim)
    }


def _of_paths() -> str:
    means = ", ".join(
        f"avg({metric.name}) filter (tool = '{export.tool}' and transport = '{export.transport}') as {export.figure}"
        for metric, export in exports()
    )
    return f"""
        select dataplane, topology, direction, {means} from visit_means
        where run_id = $run_id and {" and ".join(f"{name} = ${name}" for name in StoredScale._fields)}
        group by dataplane, topology, direction"""  # noqa: S608 - names of this project's metrics
