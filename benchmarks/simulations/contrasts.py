"""Comparisons of runs that never happened, with a known truth: how often their intervals hold, and what they find.

python -m benchmarks.simulations.contrasts   print the table of docs/compare.md, some minutes
"""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from analysis import metrics
from analysis.domain import MARGIN_RATIO, Cell
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats.change_points.detection import NightSeries, night_variances
from analysis.stats.contrasts.contrast import Contrast
from analysis.stats.contrasts.group_contrasts import Contrasted, contrast_all
from analysis.stats.contrasts.sides import ALONE, Nights, Scatter
from analysis.stats.estimates.differences import Values
from analysis.stats.verdicts.judgement import CellOfArm
from benchmarks.simulations.runs import BASELINE, Scenario
from benchmarks.simulations.scoring import Rate

SimulatedNight = dict[CellOfArm, Values]
_Key = tuple[Cell, tuple[str, str]]
METRIC: Final = metrics.BY_NAME[THROUGHPUT]


@dataclass(frozen=True, slots=True)
class ContrastScenario:
    """How the runs of a comparison are made up.

    Attributes:
        runs: how many of A and of B.
        level: how far all figures of a night scatter together from night to night, as a share.
        night: how far each figure of a night scatters by itself.
        shift: by how much the dataplanes are better in B, as shares.
        absolute: whether figures themselves are compared too.
        noise_of_b: the noise of a visit in B, by that in A.
    """

    name: str
    scenario: Scenario = Scenario(rounds=5)  # noqa: RUF009 - it is frozen
    runs: tuple[int, int] = (1, 1)
    history: int = 0
    level: float = 0.0
    night: float = 0.0
    shift: Mapping[str, float] = field(default_factory=dict)
    absolute: bool = False
    noise_of_b: float = 1.0

    def truth(self, one: Contrast) -> float:
        """The true difference, as a logarithm."""
        own, base = (self.shift.get(name or "", 0.0) for name in (one.dataplane, one.against))
        return math.log1p(own) - math.log1p(base)

    def night_of(self, dice: np.random.Generator, name: str, *, is_b: bool = False) -> SimulatedNight:
        """One run of throughput."""
        scenario = replace(self.scenario, sd=self.scenario.sd * (self.noise_of_b if is_b else 1.0))
        (run,) = scenario.run(dice, name).values()
        level = dice.normal(0, self.level)
        found: SimulatedNight = {}
        for place, values in run.items():
            moved = level + dice.normal(0, self.night) + (math.log1p(self.shift.get(place[1], 0.0)) if is_b else 0.0)
            found[place] = {block: value * math.exp(moved) for block, value in values.items()}
        return found

    def contrasts(self, dice: np.random.Generator) -> tuple[Contrast, ...]:
        """One comparison."""
        a, b = (
            [self.night_of(dice, f"{side}{n}", is_b=side == "b") for n in range(count)]
            for side, count in zip("ab", self.runs, strict=True)
        )
        earlier = [self.night_of(dice, f"earlier{n}") for n in range(self.history)]
        scatter = self._scatter([*earlier, *a]) if earlier else {}
        cells = {cell: " ".join(cell.unscaled) for cell in self.scenario.cells_of(METRIC.name)}
        figures = Contrasted(METRIC, cells, *(Nights(runs, scatter=scatter) for runs in (a, b)))
        return contrast_all([figures], self.scenario.arms, MARGIN_RATIO, absolute=self.absolute)[0]

    def _scatter(self, nights: list[SimulatedNight]) -> Scatter:
        """How far these nights scatter, as the store of a cluster tells it."""
        keys = list(self._keys())
        series = [
            NightSeries(np.array([_mean(night, key) for night in nights]), group=key[1][0] == ALONE) for key in keys
        ]
        return {keys[place]: variance for place, variance in night_variances(series).items()}

    def _keys(self) -> Iterator[_Key]:
        for cell in self.scenario.cells_of(METRIC.name):
            for arm in self.scenario.arms:
                yield cell, (ALONE, arm)
                if arm != BASELINE:
                    yield cell, (BASELINE, arm)


def _mean(night: SimulatedNight, key: _Key) -> float:
    cell, (against, dataplane) = key
    own = _logs(night[cell, dataplane])
    return own if against == ALONE else own - _logs(night[cell, against])


def _logs(values: Values) -> float:
    return statistics.fmean(map(math.log, values.values()))


@dataclass(slots=True)
class ContrastScore:
    """What came of the comparisons.

    Attributes:
        false: those with a difference that is none, or that has the wrong sign.
        hold: those all of whose intervals hold the truth.
        halves: half the width of each interval, of logarithms.
    """

    false: Rate = field(default_factory=Rate)
    hold: Rate = field(default_factory=Rate)
    found: Rate = field(default_factory=Rate)
    halves: list[float] = field(default_factory=list)

    def add(self, scenario: ContrastScenario, contrasts: tuple[Contrast, ...]) -> None:
        """Score one comparison."""
        known = [(scenario.truth(one), one, one.low, one.high) for one in contrasts]
        ends = [
            (t, one, math.log1p(low), math.log1p(high))
            for t, one, low, high in known
            if low is not None and high is not None
        ]
        self.false.add(happened=any(one.different and (low + high) * truth <= 0 for truth, one, low, high in ends))
        self.hold.add(happened=all(low <= truth <= high for truth, _, low, high in ends))
        self.halves += [(high - low) / 2 for _, _, low, high in ends]
        for truth, one, low, _ in ends:
            if truth:
                self.found.add(happened=one.different and (low > 0) == (truth > 0))


def score(scenario: ContrastScenario, count: int, seed: int = 1) -> ContrastScore:
    """So many comparisons of a kind."""
    scored, dice = ContrastScore(), np.random.default_rng(seed)
    for _ in range(count):
        scored.add(scenario, scenario.contrasts(dice))
    return scored


_SHIFT: Final = {"arm-2": -0.1}
TABLE: Final = (
    ContrastScenario("one run a side"),
    ContrastScenario("one run a side, figures themselves", absolute=True),
    ContrastScenario("one run a side, a baseline three times as noisy", Scenario(rounds=5, arm_noise=(3,))),
    ContrastScenario("one run a side, noise that cells have in common", Scenario(rounds=5, common=0.8)),
    ContrastScenario("one run a side, B twice as noisy", noise_of_b=2.0),
    ContrastScenario("one run a side, nights scatter by 1.1 %, unknown", night=0.011),
    ContrastScenario("one run a side, nights scatter by 2 %, unknown", night=0.02),
    ContrastScenario("the same, a week of nights known", night=0.02, history=6),
    ContrastScenario("the same, three weeks known", night=0.02, history=20),
    ContrastScenario(
        "the same, figures themselves, all scatter by 3 %", night=0.02, level=0.03, history=20, absolute=True
    ),
    ContrastScenario("two runs a side, nights scatter by 2 %", runs=(2, 2), night=0.02),
    ContrastScenario("two runs against one, nights scatter by 2 %", runs=(2, 1), night=0.02),
    ContrastScenario("three runs a side", runs=(3, 3), night=0.02),
    ContrastScenario(
        "three runs a side, figures themselves, all by 3 %", runs=(3, 3), night=0.02, level=0.03, absolute=True
    ),
    ContrastScenario("five runs a side", runs=(5, 5), night=0.02),
)


def main(count: int = 1000) -> None:
    print("| comparison | a false difference | all intervals hold | half an interval | finds a ratio 10 % lower |")
    print("| --- | --- | --- | --- | --- |")
    for scenario in TABLE:
        equal, moved = score(scenario, count), score(replace(scenario, shift=_SHIFT), count // 4)
        half = statistics.median(equal.halves)
        shares = f"{equal.false.share:.3f} | {equal.hold.share:.3f} | {100 * half:.0f} % | {moved.found.share:.2f}"
        print(f"| {scenario.name} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
