"""The verdicts of version 0.1.0, kept as what the present ones are compared with in `benchmarks.simulations.verdicts`.

A paired t-test of each comparison on its own rounds, Welch's test where fewer than two rounds have both dataplanes,
corrected by Holm over a metric's comparisons. An interval is that of its comparison alone. A comparison without a
significant difference reads "no difference seen (would have seen 8 %)", or "can't tell" where half the baseline's value
would have escaped.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from scipy import special

from analysis.stats.estimates.differences import Values
from analysis.stats.verdicts.judgement import CellOfArm
from benchmarks.simulations.runs import BASELINE, JudgedComparison, Run, Scenario

ERROR: Final = 0.05
ENOUGH: Final = 2


def judge(scenario: Scenario, run: Run) -> list[JudgedComparison]:
    """The comparisons with the baseline, which are all that there were; those without a spread are missing."""
    return [judged for metric in run for judged in _compare(scenario, metric, run[metric])]


def _compare(scenario: Scenario, metric: str, visits: Mapping[CellOfArm, Values]) -> Iterator[JudgedComparison]:
    drafts = [
        (cell, arm, *found)
        for cell in scenario.cells_of(metric)
        for arm in scenario.arms[1:]
        if (found := _difference(visits[cell, BASELINE], visits[cell, arm]))
    ]
    adjusted = _holm([_p(estimate, error, freedom) for *_, estimate, error, freedom in drafts])
    for (cell, arm, estimate, error, freedom), p in zip(drafts, adjusted, strict=True):
        half = float(special.stdtrit(freedom, 1 - ERROR / 2)) * error
        yield JudgedComparison(cell, arm, BASELINE, estimate - half, estimate + half, p < ERROR)


def _difference(baseline: Values, other: Values) -> tuple[float, float, float] | None:
    """Estimate, standard error and degrees of freedom; None where there is no spread or a value has no logarithm."""
    if any(value <= 0 for side in (baseline, other) for value in side.values()):
        return None
    one, two = ({r: math.log(value) for r, value in side.items()} for side in (baseline, other))
    common = one.keys() & two.keys()
    if len(common) >= ENOUGH:
        deltas = [two[r] - one[r] for r in common]
        return statistics.fmean(deltas), statistics.stdev(deltas) / math.sqrt(len(deltas)), len(deltas) - 1.0
    if min(len(one), len(two)) < ENOUGH:
        return None
    parts = [(statistics.variance(side.values()) / len(side), len(side) - 1) for side in (one, two)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / n for part, n in parts)
    return statistics.fmean(two.values()) - statistics.fmean(one.values()), math.sqrt(variance), freedom


def _p(estimate: float, error: float, freedom: float) -> float:
    return 2 * float(special.stdtr(freedom, -abs(estimate / error)))


def _holm(p_values: Sequence[float]) -> list[float]:
    """Holm, Scandinavian Journal of Statistics 6, 1979."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
