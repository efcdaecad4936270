"""What verdicts claim holds in simulated runs: all intervals together, and that they find something.

`make bench-verdicts` has more scenarios, and enough runs for figures; here are as many as tell a broken method.
"""

import pytest

from benchmarks.simulations import former_method, present_method
from benchmarks.simulations.rounds_until_decided import until_decided
from benchmarks.simulations.runs import Scenario, paths
from benchmarks.simulations.scoring import Rate, score

HELD = 0.95
"""How many of the runs may have intervals that all hold, by the claim; the tests see whether it is surely less."""


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("four dataplanes on seven paths"),
        Scenario("a noisy baseline", arm_noise=(3,)),
        Scenario("unlike cells, missing visits", rounds=6, cell_noise=0.7, missing=0.15),
        Scenario("noise in common, bad visits", common=0.8, bad=0.03),
        Scenario("one cell", cells=paths(1)),
        Scenario("two dataplanes that differ", dataplanes=2, effects=(-0.1,)),
    ],
    ids=lambda scenario: scenario.name,
)
def test_all_intervals_of_a_run_hold_together(scenario: Scenario) -> None:
    present = score(scenario, present_method.judge, 60)
    assert present.hold.upper >= HELD, present.hold
    assert present.contradiction.count == 0


def test_each_tail_of_a_single_family_has_its_error() -> None:
    """One cell has a plain t-test, whose error is known exactly: neither more nor much less than 5 %."""
    present = score(Scenario(dataplanes=2, cells=paths(1), rounds=6), present_method.judge, 400)
    assert present.hold.missed.lower < 0.05 < present.hold.missed.upper


def test_former_intervals_did_not_hold_together() -> None:
    former = score(Scenario(), former_method.judge, 40)
    assert former.hold.upper < 0.6
    assert former.contradiction.lower > 0.4


def test_four_rounds_find_what_four_rounds_did_not() -> None:
    scenario = Scenario(sd=0.025, effects=(-0.1,))
    present, former = (score(scenario, method.judge, 25) for method in (present_method, former_method))
    assert present.found.lower > 0.75
    assert former.found.upper < 0.4


def test_intervals_hold_whenever_a_run_stops() -> None:
    """Fourteen looks at a single comparison: without levels of their own, one run in six would find something."""
    single = Scenario(rounds=16, dataplanes=2, cells=paths(1))
    stopped = until_decided(single, 250, margin=0.001)
    assert stopped.hold.upper >= HELD, stopped.hold


def test_large_differences_stop_a_run_early() -> None:
    stopped = until_decided(Scenario(rounds=16, dataplanes=2, cells=paths(3), effects=(-0.4,)), 20)
    assert stopped.mean_rounds < 5
    assert stopped.decided.share == 1


def test_few_runs_prove_no_error_rate() -> None:
    """Bounds of Clopper and Pearson, as the benchmarks' aims have them: 0 of 16 may well be one in six."""
    assert Rate(0, 16).upper == pytest.approx(0.1707, abs=1e-4)
    assert Rate(20, 400).upper < 0.08 < Rate(50, 400).lower
    assert (Rate().upper, Rate().lower, Rate(5, 5).upper, Rate(0, 5).lower) == (1, 0, 1, 0)
