"""How often a method's claims hold on simulated runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from scipy import special

from analysis.console import markdown
from benchmarks.simulations import present_method
from benchmarks.simulations.runs import BASELINE, JudgedComparison, Run, Scenario

TOLERATED: Final = 0.08
"""The error that runs must surely stay below, as far as so many can tell: those of 5 % pass."""

JudgingMethod = Callable[[Scenario, Run], list[JudgedComparison]]


@dataclass(slots=True)
class Rate:
    """A count out of a number, with its bounds by Clopper and Pearson (Biometrika 26, 1934)."""

    count: int = 0
    of: int = 0

    def add(self, *, happened: bool) -> None:
        """Count one more."""
        self.count += happened
        self.of += 1

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.count + other.count, self.of + other.of)

    @property
    def share(self) -> float | None:
        """The share; None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def upper(self) -> float:
        """The bound that the true share exceeds in 5 % of cases at most; 1 of nothing."""
        return float(special.betaincinv(self.count + 1, self.of - self.count, 0.95)) if self.count < self.of else 1.0

    @property
    def lower(self) -> float:
        """The bound that the true share falls below in 5 % of cases at most; 0 of nothing."""
        return float(special.betaincinv(self.count, self.of - self.count + 1, 0.05)) if self.count else 0.0

    @property
    def missed(self) -> "Rate":
        """The rate of the contrary."""
        return Rate(self.of - self.count, self.of)


@dataclass(slots=True)
class VerdictScore:
    """What came of a scenario's runs.

    Attributes:
        false: runs with a difference that is none, or that has the wrong sign.
        hold: runs all of whose intervals hold the truth.
        quoted: runs whose clearest interval, the one that a headline quotes, holds the truth.
        contradiction: runs with an interval that leaves zero out beside the word that no difference was seen.
        found: comparisons with a true difference that are found.
    """

    false: Rate = field(default_factory=Rate)
    hold: Rate = field(default_factory=Rate)
    quoted: Rate = field(default_factory=Rate)
    contradiction: Rate = field(default_factory=Rate)
    found: Rate = field(default_factory=Rate)

    def add(self, scenario: Scenario, judged: Sequence[JudgedComparison]) -> None:
        """Score one run."""
        truths = [scenario.truth(j.dataplane, j.against) for j in judged]
        holds = [j.low <= truth <= j.high for j, truth in zip(judged, truths, strict=True)]
        self.false.add(happened=any(j.found and (j.low + j.high) * t <= 0 for j, t in zip(judged, truths, strict=True)))
        self.hold.add(happened=all(holds))
        if judged:
            clearest = max(range(len(judged)), key=lambda i: max(judged[i].low, -judged[i].high))
            self.quoted.add(happened=holds[clearest])
        self.contradiction.add(happened=any(not j.found and not j.low <= 0 <= j.high for j in judged))
        for j, truth in zip(judged, truths, strict=True):
            if truth and j.against == BASELINE:
                self.found.add(happened=j.found and (j.low > 0) == (truth > 0))


def print_table(header: Sequence[str], lines: Iterable[Iterable[str]]) -> None:
    """Print a table in Markdown."""
    print(markdown.table(header, lines))


def score(scenario: Scenario, method: JudgingMethod, runs: int, seed: int = 1) -> VerdictScore:
    """Judge so many runs of a scenario by a method."""
    scored = VerdictScore()
    for run in scenario.runs(runs, seed):
        scored.add(scenario, method(scenario, run))
    return scored


def score_nights(scenario: Scenario, runs: int, nights: int, seed: int = 1) -> VerdictScore:
    """Judge so many nightly runs by the present method, each with so many earlier nights of the same dataplanes."""
    scored = VerdictScore()
    for run, *earlier in zip(*[scenario.runs(runs * (nights + 1), seed)] * (nights + 1), strict=True):
        scored.add(scenario, present_method.judge(scenario, run, earlier))
    return scored
