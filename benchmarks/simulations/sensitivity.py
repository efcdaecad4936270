"""Do runs find what their profiles promise, and nothing else? `python -m benchmarks.simulations.sensitivity [RUNS]`.

Simulated runs of each profile that promises something, with looks after each round: each is written to a store, read
back and judged there, as a real one is. The visits of a dataplane differ as much as the promise allows for; one
dataplane is slower by what the profile promises to find, the others are the same. A minute or two on two cores. Ends
with 1 where a bound of the error or of the power, by so many runs, is on the wrong side.

The same in the lab, with real traffic: `benchmarks.lab_sensitivity`.
"""

import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from os import sched_getaffinity
from statistics import fmean
from typing import Final, Self

from analysis.console.terminal import printing
from analysis.domain import MARGIN_RATIO, Cell
from analysis.metrics.throughput import THROUGHPUT
from analysis.sql import database
from analysis.stats.verdicts.judgement import FAMILY_ERROR, Plan
from analysis.store.store import Store
from analysis.summary.run.summary import Summary, summarise
from benchmarks.simulations.rounds_until_decided import measure_until_decided
from benchmarks.simulations.runs import QUOTED_METRICS, Scenario
from benchmarks.simulations.scoring import TOLERATED, Rate
from benchmarks.simulations.stores import write
from steps.catalogue import profiles
from steps.catalogue.environments import LAB
from steps.catalogue.options import defaults, method

RUNS: Final = 100
"""Of each profile and environment."""

POWER: Final = 0.8
"""How often a profile promises to find its difference on a path."""

DATAPLANES: Final = {LAB: 4, "cluster": 3}
BATCH: Final = 10
"""Runs in one store."""


@dataclass(slots=True)
class SensitivityScore:
    """What came of some runs.

    `found`: runs that found the difference on a path, another one in each. `false`: runs with a difference that is
    none. `rounds`: of each.
    """

    found: Rate = field(default_factory=Rate)
    false: Rate = field(default_factory=Rate)
    rounds: list[int] = field(default_factory=list)

    def __iadd__(self, other: "SensitivityScore") -> Self:
        self.found += other.found
        self.false += other.false
        self.rounds += other.rounds
        return self


def promised(profile: str, environment: str) -> Scenario:
    """Runs with what a profile promises to find."""
    about = profiles.BY_NAME[profile]
    return Scenario(
        f"{profile}, {environment}",
        rounds=int(defaults(profile, environment)["rounds"]),
        dataplanes=DATAPLANES[environment],
        cells=tuple(Cell(*cell.model_dump().values()) for cell in about.cells or ()),
        metrics=QUOTED_METRICS,
        sd=profiles.VISITS_DIFFER_RATIO,
        effects=(-(about.finds_ratio or 0.0),),
        common=0.3,
    )


def judge_runs(scenario: Scenario, seed: int) -> SensitivityScore:
    """Simulate a store's runs, and judge them from there."""
    total, plan = SensitivityScore(), Plan(scenario.rounds, MARGIN_RATIO)
    with tempfile.TemporaryDirectory(prefix="sensitivity-") as folder:
        store = Store(folder)
        for number, run in enumerate(scenario.runs(BATCH, seed)):
            ended = measure_until_decided(scenario, run, plan)
            total.rounds.append(ended.rounds)
            write(store, f"run-{number}", scenario, ended.run)
        with database.connect(store, asking="") as con:
            for number in range(BATCH):
                _add(total, scenario, summarise(con, f"run-{number}", method), seed * BATCH + number)
    return total


def _add(total: SensitivityScore, scenario: Scenario, summarised: Summary, number: int) -> None:
    slower = scenario.arms[1]
    quoted = [c for c in summarised.comparisons if c.metric in QUOTED_METRICS and c.low is not None]
    different = [c for c in quoted if c.outcome == "different"]
    total.false.add(happened=any(not scenario.truth(c.dataplane, c.baseline) for c in different))
    paths = [c for c in quoted if c.metric == THROUGHPUT and c.against_baseline and c.dataplane == slower]
    total.found.add(happened=paths[number % len(paths)].verdict == "lower")


def main(runs: int) -> int:
    """Print the figures of each profile; 1 if an aim is missed."""
    scenarios = [
        promised(profile.name, environment)
        for profile in profiles.PROFILES
        if profile.finds_ratio is not None
        for environment in DATAPLANES
    ]
    seeds = range(1, 1 + -(-runs // BATCH))
    every, met = SensitivityScore(), []
    with ProcessPoolExecutor(len(sched_getaffinity(0))) as pool:
        for scenario, found in [(s, pool.map(partial(judge_runs, s), seeds)) for s in scenarios]:
            total = SensitivityScore()
            for one in found:
                total += one
            every += total
            met.append(_print_power(scenario, total))
    held = every.false.upper <= TOLERATED
    print(
        f"{every.false.count} of {every.false.of} runs have a false difference, so {every.false.upper:.1%} of runs at "
        f"most ({'held' if held else 'NOT HELD'}: {FAMILY_ERROR:.0%} are allowed, and the bound to {TOLERATED:.0%})"
    )
    return 0 if held and all(met) else 1


def _print_power(scenario: Scenario, total: SensitivityScore) -> bool:
    kept = total.found.lower >= POWER
    print(
        f"{scenario.name}: {scenario.dataplanes} dataplanes, {len(scenario.cells)} paths, visits that differ by "
        f"{scenario.sd:.0%}; a difference of {-scenario.effects[0]:.0%} is found on a path by {total.found.count} of "
        f"{total.found.of} runs, so by {total.found.lower:.0%} at least ({'kept' if kept else 'NOT KEPT'}: promised "
        f"{POWER:.0%}); {fmean(total.rounds):.1f} rounds of {scenario.rounds}",
        flush=True,
    )
    return kept


if __name__ == "__main__":
    sys.exit(printing(lambda: main(int(sys.argv[1]) if sys.argv[1:] else RUNS)))
