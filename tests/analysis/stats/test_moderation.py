import itertools
import math
import random
import statistics
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.domain import Cell
from analysis.stats.estimates.moderation import (
    Key,
    estimate_differences,
    freedom_of,
    log_variance,
    own_estimate,
    trigamma,
)

ALIKE = (1.0, 1.0, 1.0)


def key(cell: int, dataplane: str, against: str = "base") -> Key:
    return Cell(f"path {cell}", "iperf3", "tcp", "forward"), (against, dataplane)


def night(
    dice: random.Random, rounds: int = 4, cells: int = 7, noise: Sequence[float] = ALIKE, of_cells: float = 0.0
) -> dict[Key, list[float]]:
    """Differences of dataplanes to a quiet baseline. `noise`: of each; `of_cells`: how unlike cells are."""
    found = {}
    for cell in range(cells):
        factor = math.exp(dice.gauss(0, of_cells))
        for place, scale in enumerate(noise):
            found[key(cell, f"side {place}")] = [dice.gauss(0.1, 0.04 * scale * factor) for _ in range(rounds)]
    return found


keys = st.builds(key, st.integers(0, 3), st.sampled_from("abc"))
values = st.lists(st.integers(-1000, 1000).map(lambda v: v / 1000), min_size=2, max_size=6)
runs = st.dictionaries(keys, values, min_size=1, max_size=12)


@given(runs, st.floats(0.01, 100), st.floats(-10, 10))
def test_estimates_follow_the_unit_and_the_origin_of_the_differences(
    run: Mapping[Key, list[float]], unit: float, origin: float
) -> None:
    plain = estimate_differences(run, resolution=0.01)
    moved = estimate_differences({k: [v * unit + origin for v in run[k]] for k in run}, resolution=0.01 * unit)
    for k, one in plain.items():
        assert moved[k].mean == pytest.approx(one.mean * unit + origin, abs=1e-9)
        assert moved[k].standard_error == pytest.approx(one.standard_error * unit, rel=1e-6)
        assert moved[k].degrees_of_freedom == pytest.approx(one.degrees_of_freedom, rel=1e-6)


@given(runs, st.randoms(use_true_random=False))
def test_order_does_not_matter(run: Mapping[Key, list[float]], dice: random.Random) -> None:
    shuffled = {k: dice.sample(run[k], len(run[k])) for k in dice.sample(list(run), len(run))}
    plain, other = estimate_differences(run), estimate_differences(shuffled)
    for k, one in plain.items():
        assert other[k].standard_error == pytest.approx(one.standard_error, rel=1e-6)
        assert other[k].degrees_of_freedom == pytest.approx(one.degrees_of_freedom, rel=1e-6)


@given(runs)
def test_every_comparison_with_two_rounds_has_an_estimate_of_its_own_mean(run: Mapping[Key, list[float]]) -> None:
    found = estimate_differences({**run, key(9, "a"): [0.1]}, resolution=1e-3)
    assert found.keys() == run.keys()
    for k, one in found.items():
        assert one.mean == pytest.approx(statistics.fmean(run[k]))
        assert one.rounds == len(run[k])
        assert one.standard_error > 0
        assert one.degrees_of_freedom > 0


def test_alone_a_comparison_has_only_its_own_rounds() -> None:
    run = {key(1, "a"): [0.1, 0.2, 0.4]}
    (alone,) = estimate_differences(run).values()
    assert alone.standard_error == pytest.approx(statistics.stdev(run[key(1, "a")]) / math.sqrt(3))
    assert alone.degrees_of_freedom == 2


def test_moderation_needs_more_than_one_cell() -> None:
    run = night(random.Random(1), cells=1)
    for k, one in estimate_differences(run).items():
        assert one == own_estimate(run[k], 0)


def test_alike_comparisons_lend_each_other_more_than_unlike_ones() -> None:
    alike, unlike = (
        statistics.median(
            one.degrees_of_freedom
            for seed in range(20)
            for one in estimate_differences(night(random.Random(seed), of_cells=spread)).values()
        )
        for spread in (0.0, 1.0)
    )
    assert alike > 8
    assert 3 < unlike < alike / 1.5


def test_moderation_does_not_lend_the_noise_of_a_noisy_dataplane() -> None:
    """The intervals of the quiet one must not be three times too wide, nor those of the noisy one too narrow."""
    ratios: dict[str, list[float]] = {"side 0": [], "side 2": []}
    for seed in range(60):
        found = estimate_differences(night(random.Random(seed), rounds=8, noise=(1, 1, 3)))
        for (_, (_, side)), one in found.items():
            if side in ratios:
                ratios[side].append(one.standard_error * math.sqrt(8) / (0.12 if side == "side 2" else 0.04))
    assert statistics.median(ratios["side 0"]) < 1.3
    assert statistics.median(ratios["side 2"]) > 0.8


def test_noise_in_common_counts_once() -> None:
    """Two dataplanes that differ from a noisy baseline by the same figures know no more of them than one."""
    dice = random.Random(2)
    run: dict[Key, list[float]] = {}
    for cell in range(8):
        noise = 10.0 ** (-cell)
        run[key(cell, "a")] = run[key(cell, "b")] = [dice.gauss(0, noise) for _ in range(4)]
    for one in estimate_differences(run).values():
        assert one.degrees_of_freedom < 3.5


def test_comparisons_that_share_a_dataplane_count_for_less_than_others() -> None:
    dice = random.Random(6)
    apart = {
        key(c, side, f"base of {side}"): [dice.gauss(0, 0.04) for _ in range(4)] for c in range(7) for side in "ab"
    }
    shared = {(cell, ("base", pair[1])): found for (cell, pair), found in apart.items()}
    one, two = (estimate_differences(run)[key(0, "a", base)] for run, base in ((apart, "base of a"), (shared, "base")))
    assert one.degrees_of_freedom > 1.05 * two.degrees_of_freedom


def test_earlier_nights_tell_which_comparison_is_noisy() -> None:
    noise = (1, 1, 4)
    helped, alone = [], []
    for seed in range(40):
        dice = random.Random(seed)
        earlier, run = [night(dice, noise=noise) for _ in range(5)], night(dice, noise=noise)
        k = key(0, "side 2")
        helped.append(abs(math.log(estimate_differences(run, earlier)[k].standard_error / 0.08)))
        alone.append(abs(math.log(own_estimate(run[k], 0).standard_error / 0.08)))
        assert estimate_differences(run, earlier)[k].degrees_of_freedom > 3
    assert statistics.fmean(helped) < 0.6 * statistics.fmean(alone)


def test_earlier_nights_of_other_comparisons_are_left_out() -> None:
    dice = random.Random(3)
    run, other = night(dice), night(dice, cells=6)
    assert estimate_differences(run, [other]) == estimate_differences(run)


def test_equal_differences_are_no_more_certain_than_the_metrics_resolution() -> None:
    run = {key(c, a): [0.1, 0.1, 0.1, 0.1] for c, a in itertools.product(range(3), "ab")}
    for one in estimate_differences(run, resolution=0.01).values():
        assert one.standard_error >= 0.01 / math.sqrt(4) * 0.99


@given(st.floats(1.0, 4000))
def test_degrees_of_freedom_of_the_variance_of_a_log_variance(freedom: float) -> None:
    assert freedom_of(trigamma(freedom / 2)) == pytest.approx(freedom, rel=1e-4)


@pytest.mark.parametrize("freedom", [1, 3, 15])
def test_log_variance_is_unbiased(freedom: int) -> None:
    dice = random.Random(freedom)
    logs = [
        log_variance(statistics.variance([dice.gauss(0, 2) for _ in range(freedom + 1)]), freedom) for _ in range(3000)
    ]
    assert statistics.fmean(logs) == pytest.approx(math.log(4), abs=0.13)
    assert statistics.variance(logs) == pytest.approx(trigamma(freedom / 2), rel=0.15)
