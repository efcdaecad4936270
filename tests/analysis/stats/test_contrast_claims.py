"""What a comparison of runs claims holds in simulated runs: all its intervals together, and that it finds something.

`python -m benchmarks.simulations.contrasts` has more kinds and enough of each for figures; here are as many as tell a
broken method.
"""

import pytest

from benchmarks.simulations.contrasts import ContrastScenario, score
from benchmarks.simulations.runs import Scenario

HELD = 0.95
"""How many comparisons may have intervals that all hold, by the claim; the tests see whether it is surely less."""


@pytest.mark.parametrize(
    "scenario",
    [
        ContrastScenario("one run a side"),
        ContrastScenario("figures themselves, drift in common", absolute=True),
        ContrastScenario("a noisy baseline", Scenario(rounds=5, arm_noise=(3,))),
        ContrastScenario("B twice as noisy, bad visits", Scenario(rounds=5, bad=0.03), noise_of_b=2.0),
        ContrastScenario("nights, two a side", runs=(2, 2), night=0.02),
        ContrastScenario("nights, three a side, levels in common", runs=(3, 3), night=0.02, level=0.03, absolute=True),
        ContrastScenario("two against one", runs=(2, 1), night=0.02),
        ContrastScenario("true differences", shift={"arm-2": -0.2, "arm-3": 0.1}, absolute=True),
    ],
    ids=lambda scenario: scenario.name,
)
def test_all_intervals_of_a_comparison_hold_together(scenario: ContrastScenario) -> None:
    scored = score(scenario, 200)
    assert scored.hold.upper >= HELD, scored.hold
    assert scored.false.lower <= 1 - HELD, scored.false


def test_contrast_takes_the_variance_between_runs_from_the_history() -> None:
    """Equal runs whose nights scatter by 2 %: half of the comparisons find something by visits alone."""
    alone, known = (score(ContrastScenario("", night=0.02, history=nights), 40) for nights in (0, 8))
    assert alone.false.lower > 0.2
    assert known.false.upper < 0.2
    assert known.hold.upper >= HELD


def test_several_nights_a_side_find_what_they_should() -> None:
    scored = score(ContrastScenario("", runs=(4, 4), night=0.01, shift={"arm-2": -0.15}), 15)
    assert scored.found.lower > 0.9
