"""The present verdicts on simulated runs, by the project's own code."""

import math
from collections.abc import Sequence

from analysis import metrics
from analysis.stats.verdicts.comparison import Comparison
from analysis.stats.verdicts.judgement import MetricFigures, Plan, compare_run
from benchmarks.simulations.runs import JudgedComparison, Run, Scenario


def judge(scenario: Scenario, run: Run, earlier: Sequence[Run] = ()) -> list[JudgedComparison]:
    """The comparisons of a run without looks, those between other dataplanes than the baseline included."""
    return [judged(c) for c in compare(scenario, run, Plan(), earlier) if c.low is not None]


def compare(scenario: Scenario, run: Run, plan: Plan, earlier: Sequence[Run] = ()) -> Sequence[Comparison]:
    """The comparisons of a run. `earlier`: comparable earlier nights."""
    given = [
        MetricFigures(
            metrics.BY_NAME[metric],
            {cell: " ".join(cell.unscaled) for cell in scenario.cells_of(metric)},
            visits,
            earlier=[night[metric] for night in earlier],
        )
        for metric, visits in run.items()
    ]
    comparisons, _ = compare_run(given, scenario.arms, plan)
    return comparisons


def judged(comparison: Comparison) -> JudgedComparison:
    """A comparison with its interval in logarithms."""
    c = comparison
    low, high = c.low if c.low is not None else -1.0, c.high if c.high is not None else math.inf
    return JudgedComparison(
        c.cell,
        c.dataplane,
        c.baseline,
        math.log1p(low) if low > -1 else -math.inf,
        math.log1p(high),
        c.outcome == "different",
    )
