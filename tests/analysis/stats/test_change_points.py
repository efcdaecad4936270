"""Steps between levels, on series whose truth is known; and how often what is no step is taken for one."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.random import Generator

from analysis.stats.change_points.detection import Levels, NightSeries, find_levels
from analysis.stats.change_points.night_noise import FLOOR, NightValues, correlations, night_sd
from analysis.stats.change_points.partition import LEAST, segment_starts
from analysis.stats.change_points.step_search import RECENT
from analysis.stats.estimates.intervals import SIGNIFICANCE

NIGHTS = 60
SERIES = 20
NOISE = 0.03
STEP = math.log(0.9)
LEVEL = SIGNIFICANCE / SERIES


def levels(values: Sequence[float] | NightValues, level: float, floor: float = FLOOR) -> Levels:
    (found,) = find_levels([NightSeries(np.asarray(values, dtype=float), floor)], level)
    return found


def run_of(series: Iterable[NightValues]) -> list[Levels]:
    """The levels of the series of a run of which no two are compared, which takes half the time of one by one."""
    return find_levels([NightSeries(values, group=place) for place, values in enumerate(series)], LEVEL)


def correlation(values: NightValues) -> float:
    return correlations([values], [None])[0]


def stable(dice: Generator, nights: int = NIGHTS, alike: float = 0.0) -> NightValues:
    """A level of 1 with noise of 3 %, each night like the one before it by `alike`."""
    values = np.empty(nights)
    values[0] = dice.normal(0, NOISE)
    for night in range(1, nights):
        values[night] = alike * values[night - 1] + dice.normal(0, NOISE * math.sqrt(1 - alike**2))
    return values


def stepped(dice: Generator, after: int, size: float = STEP, nights: int = NIGHTS) -> NightValues:
    values = stable(dice, nights)
    values[nights - after :] += size
    return values


def fails(found: Levels, nights: int = NIGHTS) -> bool:
    """Whether this would fail a night: worse by 5 % or more since seven nights at the most."""
    return any(s.estimate <= math.log(0.95) and nights - s.at <= RECENT for s in found.steps[-1:])


def partitions(n: int) -> Iterator[list[int]]:
    """Every way to cut n nights into parts of two or more, by where they begin."""
    for places in range(2**n):
        starts = [0, *(place for place in range(1, n) if places >> place & 1)]
        if all(two - one >= LEAST for one, two in zip(starts, [*starts[1:], n], strict=True)):
            yield starts


def price(values: list[float], starts: list[int], penalty: float) -> float:
    parts = [values[one:two] for one, two in zip(starts, [*starts[1:], len(values)], strict=True)]
    off = sum(float(np.abs(np.array(part) - np.median(part)).sum()) for part in parts)
    return off + penalty * (len(starts) - 1)


@given(st.lists(st.floats(-9, 9).map(lambda x: round(x, 3)), min_size=4, max_size=10), st.floats(0.1, 9))
def test_change_points_are_optimal(values: list[float], penalty: float) -> None:
    best = min(price(values, starts, penalty) for starts in partitions(len(values)) if starts[-1] < len(values))
    (found,) = segment_starts(np.array([values]), penalty)
    assert price(values, found, penalty) == pytest.approx(best, abs=1e-9)


@given(st.integers(0, 10_000), st.floats(-20, 20), st.integers(2, 20))
def test_change_points_are_invariant_to_level(seed: int, shift: float, after: int) -> None:
    values = stepped(np.random.default_rng(seed), after, size=-0.4)
    here, there = levels(values, LEVEL), levels(values + shift, LEVEL)
    assert [s.at for s in here.steps] == [s.at for s in there.steps]
    for one, two in zip(here.steps, there.steps, strict=True):
        assert two.estimate == pytest.approx(one.estimate, abs=1e-9)
        assert two.before == pytest.approx(one.before + shift, abs=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 20))
@example(254, 18)  # two partitions cost the same
def test_change_points_are_symmetric_in_sign(seed: int, after: int) -> None:
    values = stepped(np.random.default_rng(seed), after)
    down, up = levels(values, LEVEL).steps, levels(-values, LEVEL).steps
    assert [s.at for s in down] == [s.at for s in up]
    for one, two in zip(down, up, strict=True):
        assert (one.p, one.estimate, one.error) == pytest.approx((two.p, -two.estimate, two.error))


@given(st.integers(0, 10_000), st.integers(5, 40))
def test_large_change_point_is_found_with_night_and_size(seed: int, after: int) -> None:
    found = levels(list(stepped(np.random.default_rng(seed), after, size=-1.0)), LEVEL)
    at, step = NIGHTS - after, found.steps[-1]
    assert at in {s.at for s in found.steps}
    big = next(s for s in found.steps if s.at == at)
    assert big.estimate == pytest.approx(-1, abs=5 * big.error)
    assert big.p < 1e-12
    assert step.nights_before + step.nights_after <= NIGHTS


@pytest.mark.parametrize("n", range(4))
def test_too_few_nights_have_no_change_point(n: int) -> None:
    assert levels([1.0] * n, LEVEL) == Levels()


@given(st.floats(-30, 30), st.integers(4, 90))
def test_constant_series_has_no_change_point(value: float, nights: int) -> None:
    found = levels([value] * nights, LEVEL)
    assert found.steps == ()
    assert found.suspicion is None or found.suspicion.estimate == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("size", [-3.0, -0.4, -0.15, 0.15, 0.4, 3.0])
def test_single_outlier_is_no_change_point(size: float) -> None:
    dice, found = np.random.default_rng(1), 0
    for night in range(NIGHTS):
        values = stable(dice)
        values[night] += size
        found += len(levels(values, LEVEL).steps)
    assert found <= 1


def test_last_night_outlier_is_suspected_despite_earlier_outliers() -> None:
    values = stable(np.random.default_rng(2))
    values[[10, 30]] += 0.5
    values[-1] -= 0.3
    found = levels(values, LEVEL)
    assert found.steps == ()
    assert found.suspicion is not None
    assert found.suspicion.p < 1e-6
    assert found.suspicion.nights_before == NIGHTS - 3
    low, high = found.suspicion.interval(0.95)
    assert low < -0.3 < high


def test_two_disagreeing_nights_are_no_change_point() -> None:
    values = stable(np.random.default_rng(3))
    values[-2:] -= [0.4, 0.1]
    assert all(s.at < NIGHTS - 2 for s in levels(values, LEVEL).steps)


def test_noise_estimate_ignores_change_points_and_outliers() -> None:
    found = []
    for seed in range(40):
        values = stepped(np.random.default_rng(seed), 20, size=-1.0)
        values[::15] += 0.6
        found.append(night_sd(values))
    assert np.median(found) == pytest.approx(NOISE, rel=0.2)
    assert night_sd([0.0] * 9) == FLOOR
    assert night_sd([0.0] * 9, floor=0.02) == 0.02


def test_drift_is_separated_from_noise() -> None:
    alike = [
        np.median([correlation(stable(np.random.default_rng(seed), alike=truth)) for seed in range(60)])
        for truth in (0.0, 0.4, 0.8)
    ]
    assert alike[0] < 0.12
    assert 0.2 < alike[1] < 0.55
    assert 0.5 < alike[2] <= 0.9


def test_noise_floor_suppresses_small_change_points() -> None:
    values = stepped(np.random.default_rng(4), 5)
    assert levels(values, LEVEL).steps
    assert not levels(values, LEVEL, floor=0.1).steps


# How often: of simulated nights, with what docs/changes.md says.


@pytest.mark.parametrize(("alike", "most"), [(0.0, 0.02), (0.5, 0.08)])
def test_false_alarm_rate_per_night(alike: float, most: float) -> None:
    dice, runs = np.random.default_rng(5), 50
    failed = sum(
        any(fails(one) for one in run_of(stable(dice, alike=alike) for _ in range(SERIES))) for _ in range(runs)
    )
    assert failed <= most * runs


def test_false_change_point_rate() -> None:
    dice, runs = np.random.default_rng(6), 50
    wrong = sum(any(one.steps for one in run_of(stable(dice) for _ in range(SERIES))) for _ in range(runs))
    assert wrong <= 0.1 * runs


@pytest.mark.parametrize(("after", "least"), [(2, 0.5), (3, 0.8), (4, 0.9)])
def test_change_point_of_three_sigma_is_found_and_located(after: int, least: float) -> None:
    dice, tries = np.random.default_rng(7), 100
    found = [levels(stepped(dice, after), LEVEL) for _ in range(tries)]
    hits = [each.steps[-1] for each in found if fails(each)]
    assert len(hits) >= least * tries
    assert sum(abs(step.at - (NIGHTS - after)) <= 1 for step in hits) >= 0.95 * len(hits)
    assert np.mean([abs(step.estimate - STEP) <= 2 * step.error for step in hits]) >= 0.85


def test_detectable_effect_has_80_per_cent_power() -> None:
    dice, tries = np.random.default_rng(8), 100
    lasts = [levels(stable(dice), LEVEL).last for _ in range(40)]
    detectable_effect = float(
        np.median([last.detectable_effect for last in lasts if last is not None and last.detectable_effect is not None])
    )
    seen = sum(bool(levels(stepped(dice, 3, size=-detectable_effect), LEVEL).steps) for _ in range(tries))
    assert 0.65 * tries <= seen <= 0.93 * tries
