"""Simulated runs that look after each round and stop when all is decided, as the workflow's do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from analysis.domain import FIRST_LOOK
from analysis.stats.verdicts.comparison import Comparison
from analysis.stats.verdicts.judgement import Plan
from benchmarks.simulations.present_method import compare, judged
from benchmarks.simulations.runs import BASELINE, Run, Scenario
from benchmarks.simulations.scoring import Rate
from steps.collect.decision import ComparisonProgress, progress_of


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """A run that stopped: what was measured, in how many rounds and visits, and its verdicts."""

    run: Run
    rounds: int
    visits: int
    comparisons: Sequence[Comparison]
    standing: ComparisonProgress


@dataclass(slots=True)
class StoppingScore:
    """What came of a scenario's runs.

    `hold`: runs all of whose last intervals hold the truth. `false`: runs with a difference that is none, or "the same"
    of what differs by more than the margin. `decided`: comparisons that matter for the choice, and are decided.
    """

    ended: list[tuple[int, int]] = field(default_factory=list)
    hold: Rate = field(default_factory=Rate)
    false: Rate = field(default_factory=Rate)
    decided: Rate = field(default_factory=Rate)

    @property
    def mean_rounds(self) -> float:
        """Over the runs."""
        return fmean(rounds for rounds, _ in self.ended)

    @property
    def mean_visits(self) -> float:
        """Over the runs."""
        return fmean(visits for _, visits in self.ended)

    def add(self, scenario: Scenario, plan: Plan, one: StoppedRun) -> None:
        """Score one run."""
        self.ended.append((one.rounds, one.visits))
        holds, false = True, False
        for comparison in one.comparisons:
            if comparison.low is None:
                continue
            truth = scenario.truth(comparison.dataplane, comparison.baseline)
            found = judged(comparison)
            holds &= found.low <= truth <= found.high
            if comparison.outcome == "same":
                false |= abs(truth) > math.log1p(plan.margin_ratio)
            elif found.found:
                false |= (found.low + found.high) * truth <= 0
        self.hold.add(happened=holds)
        self.false.add(happened=false)
        self.decided.count += one.standing.decided
        self.decided.of += one.standing.compared


def until_decided(scenario: Scenario, runs: int, margin: float = 0.1, seed: int = 1) -> StoppingScore:
    """Have so many runs, each with the scenario's rounds at most."""
    plan, stopped = Plan(scenario.rounds, margin), StoppingScore()
    for run in scenario.runs(runs, seed):
        stopped.add(scenario, plan, measure_until_decided(scenario, run, plan))
    return stopped


def measure_until_decided(scenario: Scenario, run: Run, plan: Plan) -> StoppedRun:
    """Look after each round, leave out dataplanes that are decided, and stop when all are."""
    last = dict.fromkeys(scenario.arms, scenario.rounds)
    for after in range(min(FIRST_LOOK, scenario.rounds), scenario.rounds + 1):
        until = {arm: min(last[arm], after) for arm in scenario.arms}
        measured = _cut(run, until)
        comparisons = compare(scenario, measured, plan)
        found = progress_of(comparisons, BASELINE)
        if not found.undecided:
            break
        last |= {arm: min(last[arm], after) for arm in scenario.arms[1:] if arm not in found.undecided}
    return StoppedRun(measured, after, sum(until.values()), comparisons, found)


def _cut(run: Run, until: Mapping[str, int]) -> Run:
    """What was measured until these rounds."""
    return {
        metric: {
            (cell, arm): {block: value for block, value in values.items() if block[1] <= until[arm]}
            for (cell, arm), values in visits.items()
        }
        for metric, visits in run.items()
    }
