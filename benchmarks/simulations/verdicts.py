"""The verdicts of 0.1.0 and the present ones on the same simulated runs.

`python -m benchmarks.simulations.verdicts [RUNS]` prints the tables of docs/verdicts.md in a minute or two on two quiet
cores. Ends with 1 where the present method claims what does not hold: the upper bound of a run's error, by so many
runs, is above 8 % where 5 % are claimed.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from os import sched_getaffinity
from typing import Final

from analysis import formatting
from analysis.console.terminal import printing
from analysis.stats.verdicts.judgement import FAMILY_ERROR
from benchmarks.simulations import former_method, present_method
from benchmarks.simulations.rounds_until_decided import StoppingScore, until_decided
from benchmarks.simulations.runs import QUOTED_METRICS, Scenario, paths
from benchmarks.simulations.scoring import TOLERATED, Rate, VerdictScore, print_table, score, score_nights
from steps.settings.schedule import rounds_to_decide

RUNS: Final = 1000
"""For each line of the table of claims; the other tables need fewer."""

ROUNDS: Final = (4, 6, 10)
NIGHTS: Final = 3
MOST_ROUNDS: Final = 16
POWER: Final = tuple(
    Scenario(f"{formatting.percent(sd, sign=False)}, {formatting.percent(effect)}", sd=sd, effects=(effect,))
    for sd, effect in (
        (0.025, -0.05),
        (0.025, -0.10),
        (0.04, -0.05),
        (0.04, -0.10),
        (0.04, -0.20),
        (0.06, -0.10),
        (0.06, -0.20),
    )
)
CLAIMS: Final = (
    Scenario("four dataplanes that are the same"),
    Scenario("the same, six rounds", rounds=6),
    Scenario("a baseline three times as noisy", arm_noise=(3,)),
    Scenario("dataplanes 1 : 1 : 1.5 : 3 as noisy", arm_noise=(1, 1, 1.5, 3)),
    Scenario("cells from half to twice as noisy", cell_noise=0.7),
    Scenario("noise that the cells of a visit have in common", common=0.8),
    Scenario("3 % of visits 30 % too low", bad=0.03, common=0.5),
    Scenario("15 % of visits missing, six rounds", rounds=6, missing=0.15),
    Scenario("one cell", cells=paths(1)),
    Scenario("two dataplanes", dataplanes=2),
    Scenario("two dataplanes, one cell, six rounds", dataplanes=2, cells=paths(1), rounds=6),
    Scenario("one is 10 % slower", effects=(-0.1,)),
    Scenario("all metrics that the first page quotes", metrics=QUOTED_METRICS),
)
SLOWER: Final = (0.4, 0.2, 0.1, 0.05)
STOPS: Final = tuple(
    Scenario(name, rounds=MOST_ROUNDS, effects=effects)
    for name, effects in (
        *((f"{formatting.percent(slower, sign=False)} slower", (-slower,) * 3) for slower in SLOWER),
        ("the same", ()),
        ("2, 20 and 25 % faster", (0.02, 0.2, 0.25)),
    )
)


def main(runs: int) -> int:
    """Print the tables; 1 if an aim is missed."""
    with ProcessPoolExecutor(len(sched_getaffinity(0))) as pool:
        grid = [replace(scenario, rounds=rounds) for scenario in POWER for rounds in ROUNDS]
        powers = pool.map(partial(_both, runs=max(20, runs // 5)), grid)
        nights = pool.map(partial(score_nights, runs=max(20, runs // 5), nights=NIGHTS), grid)
        claims = pool.map(partial(_both, runs=runs), CLAIMS)
        stops = pool.map(partial(until_decided, runs=max(20, runs // 8)), STOPS)
        _print_power([*powers], [*nights])
        met = [_print_claims([*claims]), _print_stops([*stops])]
    return 0 if all(met) else 1


def _both(scenario: Scenario, runs: int) -> tuple[VerdictScore, VerdictScore]:
    """Version 0.1.0's score and the present one."""
    return score(scenario, former_method.judge, runs), score(scenario, present_method.judge, runs)


def _print_power(powers: Sequence[tuple[VerdictScore, VerdictScore]], nights: Sequence[VerdictScore]) -> None:
    print(
        "Chance to find a difference of one of four dataplanes on seven paths: "
        f"0.1.0 / now / now with {NIGHTS} earlier nights\n"
    )
    print_table(
        ["noise of a visit, difference", *(f"{rounds} rounds" for rounds in ROUNDS)],
        (
            [
                scenario.name,
                *(
                    " / ".join(_share(one.found) for one in (*powers[place], nights[place]))
                    for place in range(line * len(ROUNDS), (line + 1) * len(ROUNDS))
                ),
            ]
            for line, scenario in enumerate(POWER)
        ),
    )


def _print_claims(claims: Sequence[tuple[VerdictScore, VerdictScore]]) -> bool:
    """Whether the error of each scenario is held."""
    columns: dict[str, Callable[[VerdictScore], Rate]] = {
        "a false difference": lambda one: one.false,
        "all intervals hold": lambda one: one.hold,
        "the clearest interval holds": lambda one: one.quoted,
        "an interval without zero, called none": lambda one: one.contradiction,
    }
    print(f"\nShare of runs with it, 0.1.0 / now (noise of a visit 4 %, {Scenario().rounds} rounds)\n")
    print_table(
        ["scenario", *columns],
        (
            [scenario.name, *(" / ".join(_share(column(one)) for one in pair) for column in columns.values())]
            for scenario, pair in zip(CLAIMS, claims, strict=True)
        ),
    )
    held = [
        _held(scenario.name, present.hold.missed, "miss the truth with an interval")
        for scenario, (_, present) in zip(CLAIMS, claims, strict=True)
    ]
    return all(held)


def _print_stops(stops: Sequence[StoppingScore]) -> bool:
    print(f"\nRounds until decided, {MOST_ROUNDS} at most (noise of a visit 4 %, the same within 10 %)\n")
    print_table(
        ["three dataplanes by the baseline", "rounds", "visits", "comparisons decided", "all intervals hold", "false"],
        (
            [
                scenario.name,
                f"{one.mean_rounds:.1f}",
                f"{one.mean_visits:.0f}",
                _share(one.decided),
                _share(one.hold),
                _share(one.false),
            ]
            for scenario, one in zip(STOPS, stops, strict=True)
        ),
    )
    every = Rate(sum(one.hold.count for one in stops), sum(one.hold.of for one in stops)).missed
    held = _held("runs that stop when decided", every, "miss the truth with an interval")
    return all([held, *map(_is_planned, SLOWER, stops)])


def _is_planned(slower: float, stopped: StoppingScore) -> bool:
    """Whether runs stop after as many rounds as `make plan` expects; a sentence where they don't."""
    planned = min(MOST_ROUNDS, rounds_to_decide(slower, Scenario().sd))
    if abs(stopped.mean_rounds - planned) <= 1:
        return True
    print(f"{slower:.0%} slower: decided after {stopped.mean_rounds:.1f} rounds, and the plan expects {planned}.")
    return False


def _held(name: str, rate: Rate, what: str) -> bool:
    """Whether a share of runs is surely not far above the family's error; a sentence where it may be."""
    held = rate.upper <= TOLERATED
    if not held:
        print(f"{name}: {rate.count} of {rate.of} runs {what}, so up to {rate.upper:.1%} may: aim {FAMILY_ERROR:.0%}.")
    return held


def _share(rate: Rate) -> str:
    return "–" if rate.share is None else f"{rate.share:.2f}".removeprefix("0").replace("1.00", "1").replace(".00", "0")


if __name__ == "__main__":
    sys.exit(printing(lambda: main(int(sys.argv[1]) if sys.argv[1:] else RUNS)))
