"""Does a 95 % interval hold the truth in 95 % of cases? That, and what follows from it, is simulated here."""

import math
import random
import statistics as plain
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.stats import intervals

TRUTH = math.log(1.05)
SIMULATED = 2500
TRIALS = 5

values = st.floats(-10, 10, allow_nan=False)
rounds = st.dictionaries(st.integers(1, 12), values, min_size=2, max_size=12)


def simulate(dice: random.Random, blocks: int, drift: float = 0.02) -> tuple[dict[int, float], dict[int, float]]:
    """Visit means of two dataplanes: noise between visits as large as that between trials, and a drift over rounds."""
    sides: tuple[dict[int, float], dict[int, float]] = ({}, {})
    for block in range(blocks):
        for side, truth in zip(sides, (0.0, TRUTH), strict=True):
            visit = truth + drift * block + dice.gauss(0, 0.05)
            side[block] = plain.fmean(visit + dice.gauss(0, 0.05) for _ in range(TRIALS))
    return sides


def coverage(blocks: int, *, paired: bool) -> float:
    dice = random.Random(blocks * 2 + paired)
    held = 0
    for _ in range(SIMULATED):
        base, other = simulate(dice, blocks, drift=0.02 if paired else 0.0)
        if not paired:
            other = {block + 100: value for block, value in other.items()}
        found = intervals.difference(base, other)
        assert found is not None
        assert found.method == ("paired" if paired else "welch")
        held += found.low <= TRUTH <= found.high
    return held / SIMULATED


@pytest.mark.parametrize("blocks", [2, 3, 6, 10])
def test_coverage_of_paired_intervals(blocks: int) -> None:
    assert 0.93 <= coverage(blocks, paired=True) <= 0.97


@pytest.mark.parametrize("blocks", [3, 6, 10])
def test_coverage_of_welch_intervals(blocks: int) -> None:
    assert 0.93 <= coverage(blocks, paired=False) <= 0.985


def test_pooled_trial_intervals_have_too_little_coverage() -> None:
    """The reason for visits: what this module must never do falls far short of 95 %."""
    dice = random.Random(1)
    held = 0
    for _ in range(800):
        sides = []
        for truth in (0.0, TRUTH):
            visits = [truth + dice.gauss(0, 0.05) for _ in range(3)]
            sides.append(dict(enumerate(v + dice.gauss(0, 0.05) for v in visits for _ in range(TRIALS))))
        found = intervals.difference(*sides)
        assert found is not None
        held += found.low <= TRUTH <= found.high
    assert held / 800 < 0.85


def test_false_positive_rate_of_twins() -> None:
    dice = random.Random(11)
    runs, alarms = 1200, 0
    for _ in range(runs):
        p_values = []
        for _cell in range(6):
            base, other = simulate(dice, 6)
            other = {block: value - TRUTH for block, value in other.items()}
            found = intervals.difference(base, other)
            assert found is not None
            p_values.append(found.p)
        alarms += min(intervals.holm(p_values)) < intervals.SIGNIFICANCE
    three_standard_errors = 3 * math.sqrt(0.05 * 0.95 / runs)
    assert alarms / runs <= 0.05 + three_standard_errors


@pytest.mark.parametrize(("n", "level"), [(3, 0.05), (6, 0.05), (6, 0.05 / 18), (10, 0.01)])
def test_power_at_the_detectable_effect(n: int, level: float) -> None:
    dice = random.Random(n)
    spread = 0.04
    effect = intervals.smallest_effect(spread / math.sqrt(n), n - 1, level)
    found = 0
    for _ in range(SIMULATED):
        other = {block: dice.gauss(effect, spread) for block in range(n)}
        seen = intervals.difference(dict.fromkeys(range(n), 0.0), other)
        assert seen is not None
        found += seen.p < level
    assert found / SIMULATED == pytest.approx(0.8, abs=0.03)


@given(rounds, rounds)
def test_difference_is_antisymmetric(base: dict[int, float], other: dict[int, float]) -> None:
    there, back = intervals.difference(base, other), intervals.difference(other, base)
    assert there is not None
    assert back is not None
    assert there.estimate == pytest.approx(-back.estimate, abs=1e-9)
    assert there.low == pytest.approx(-back.high, rel=1e-6, abs=1e-6)
    assert there.p == pytest.approx(back.p, abs=1e-6)


@given(rounds, st.lists(values, min_size=12, max_size=12))
def test_pairing_removes_drift_between_rounds(base: dict[int, float], drift: list[float]) -> None:
    dice = random.Random(3)
    other = {block: value + dice.gauss(0.1, 1) for block, value in base.items()}
    shifted = [{block: value + drift[block - 1] for block, value in side.items()} for side in (base, other)]
    still, moved = intervals.difference(base, other), intervals.difference(*shifted)
    assert still is not None
    assert moved is not None
    assert moved.estimate == pytest.approx(still.estimate, abs=1e-7)
    assert moved.standard_error == pytest.approx(still.standard_error, abs=1e-7)


@given(rounds, rounds)
def test_p_value_agrees_with_the_interval(base: dict[int, float], other: dict[int, float]) -> None:
    found = intervals.difference(base, other)
    assert found is not None
    if abs(found.low) > 1e-6 and abs(found.high) > 1e-6:
        assert (found.p < intervals.SIGNIFICANCE) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize(
    ("base", "other"), [({}, {}), ({1: 1.0}, {1: 2.0}), ({1: 1.0}, {2: 1.0, 3: 1.0}), ({1: 1.0, 2: 1.0}, {})]
)
def test_single_visit_per_side_has_no_interval(base: dict[int, float], other: dict[int, float]) -> None:
    assert intervals.difference(base, other) is None


def test_incomplete_rounds_are_excluded_from_pairs() -> None:
    found = intervals.difference({1: 1.0, 2: 2.0, 3: 90.0}, {1: 2.0, 2: 3.5, 4: -70.0})
    assert found is not None
    assert (found.n, found.estimate, found.method) == (2, 1.25, "paired")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_correction_is_monotone(p_values: list[float]) -> None:
    adjusted = intervals.holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    ordered = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert all(one <= two for one, two in pairwise(ordered))


def test_holm_against_a_worked_example() -> None:
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_mean_rate_is_geometric_and_needs_two_visits() -> None:
    interval = intervals.geometric_mean_interval([2.0, 8.0])
    assert interval is not None
    assert interval.mean == pytest.approx(4.0)
    assert intervals.geometric_mean_interval([2.0]) is None
    assert intervals.geometric_mean_interval([2.0, 0.0]) is None
    wild = intervals.geometric_mean_interval([1e-300, 1e300])
    assert wild is not None
    assert wild.high == math.inf
