"""What the series of a run know together: short histories, suspicions, slow declines, and the level since a change."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from numpy.random import Generator

from analysis.domain import Cell
from analysis.metrics import BY_NAME
from analysis.stats.change_points import scan
from analysis.stats.change_points.detection import Levels, NightSeries, find_levels
from analysis.stats.change_points.night_noise import NightValues, correlations, mean_variances, priors
from analysis.stats.estimates.intervals import SIGNIFICANCE
from analysis.stats.nights.level_since import LevelSince
from analysis.stats.nights.nightly import Night, Series
from analysis.stats.nights.regressions import FoundChanges, LevelChange, find_changes
from analysis.summary.figures import change_groups
from benchmarks.simulations.night_series import CHANGED, LONE, stepped_run
from benchmarks.simulations.scoring import Rate

NOISE = 0.03
STEP = math.log(0.9)
SERIES = 20


def run(dice: Generator, nights: int, noise: float = NOISE, count: int = SERIES) -> list[NightValues]:
    return list(dice.normal(0, noise, (count, nights)))


def search(values: list[NightValues], group: object = None) -> list[Levels]:
    return find_levels([NightSeries(one, group=group) for one in values], SIGNIFICANCE / len(values))


def judged(values: list[NightValues], name: str = "received_bps", against: str | None = "iptables") -> FoundChanges:
    began = datetime(2026, 6, 1, tzinfo=UTC)
    series = []
    for place, one in enumerate(values):
        cell = Cell(f"path-{place}", "iperf3", "tcp", "forward")
        nights = tuple(Night(f"run-{n}", began + timedelta(days=n), float(value)) for n, value in enumerate(one))
        series.append(Series(BY_NAME[name], cell, cell.topology, "ebpf", against, nights))
    return find_changes(series)


def of_first(found: FoundChanges) -> list[LevelChange]:
    return [change for change in found.changes if change.topology == "path-0"]


@pytest.mark.parametrize("before", [5, 12])
def test_short_history_shows_a_step_because_the_other_series_know_the_noise(before: int) -> None:
    dice, together, alone, tries = np.random.default_rng(1), 0, 0, 25
    for _ in range(tries):
        values = run(dice, before + 3)
        values[0][before:] += 1.3 * STEP
        together += bool(search(values)[0].steps)
        (own,) = find_levels([NightSeries(values[0])], SIGNIFICANCE / SERIES)
        alone += bool(own.steps)
    assert together >= 0.8 * tries
    assert alone <= together - 0.2 * tries


def test_noise_is_shared_inside_a_group_alone() -> None:
    dice = np.random.default_rng(2)
    quiet, loud = run(dice, 40, 0.01), run(dice, 40, 0.1)
    values = [*quiet, *loud]
    values[0][-3:] += STEP
    groups = ["quiet"] * SERIES + ["loud"] * SERIES
    found = find_levels([NightSeries(v, group=g) for v, g in zip(values, groups, strict=True)], 0.05 / len(values))
    assert [step.at for step in found[0].steps] == [37]
    errors = [[each.last.error for each in part if each.last] for part in (found[1:SERIES], found[SERIES:])]
    assert np.median(errors[0]) == pytest.approx(1.1 * 0.01 / math.sqrt(40), rel=0.15)
    assert np.median(errors[1]) == pytest.approx(1.1 * 0.1 / math.sqrt(40), rel=0.15)


def test_variances_that_are_alike_are_borrowed_and_unlike_ones_are_not() -> None:
    dice = np.random.default_rng(3)
    alike = [float(np.var(one, ddof=1)) for one in run(dice, 10)]
    unlike = [variance * 4.0 ** (place % 5) for place, variance in enumerate(alike)]
    freedoms = [9.0] * SERIES
    assert priors(alike, freedoms, [None] * SERIES)[0].degrees_of_freedom > 9
    assert priors(unlike, freedoms, [None] * SERIES)[0].degrees_of_freedom < 3
    assert priors(alike[:1], freedoms[:1], [None])[0].degrees_of_freedom == 0


def test_correlation_is_drawn_towards_the_other_series() -> None:
    dice = np.random.default_rng(4)
    values = run(dice, 40)
    own = [correlations([one], [None])[0] for one in values]
    shared = correlations(values, [None] * SERIES)
    assert max(own) > 0.25
    assert max(shared) < 0.15
    assert float(np.max(mean_variances(5, 0.0)[1:] * np.arange(1, 6))) == pytest.approx(1)
    assert mean_variances(2, 0.5)[2] == pytest.approx((1 + 0.5) / 2)


@pytest.mark.parametrize("cuts", [1, 2])
def test_p_value_of_a_search_is_that_of_its_largest_statistic(cuts: int) -> None:
    """Against simulation: in 40 nights of noise alone, how often the best place for a step looks like one."""
    dice, n, tries, level = np.random.default_rng(5), 40, 1500, 0.1
    sums = np.concatenate([np.zeros((tries, 1)), np.cumsum(dice.normal(size=(tries, n)), axis=1)], axis=1)
    places = (
        [(0, k) for k in range(2, n - 1)] if cuts == 1 else [(i, j) for i in range(2, n) for j in range(i + 2, n - 1)]
    )
    largest = np.zeros(tries)
    for one, two in places:
        inside = two - one
        mean = (sums[:, two] - sums[:, one]) / inside - (sums[:, -1] - sums[:, two] + sums[:, one]) / (n - inside)
        largest = np.maximum(largest, np.abs(mean) * math.sqrt(inside * (n - inside) / n))
    lengths = np.arange(2.0, n - 1)
    counts = np.array([sum(two - one == length for one, two in places) for length in lengths])
    rate = scan.rates(lengths, n - lengths)
    ps = [2 * float(1 - _normal(b)) for b in largest]
    found = [scan.one_cut_p(p, rate) if cuts == 1 else scan.two_cuts_p(p, rate, counts) for p in ps]
    assert float(np.mean([p < level for p in found])) == pytest.approx(level, abs=0.035)


def _normal(b: float) -> float:
    return 0.5 * (1 + math.erf(b / math.sqrt(2)))


def test_change_that_was_undone_again_is_found() -> None:
    values = run(np.random.default_rng(6), 60)
    values[0][25:33] += 1.5 * STEP
    assert [step.at for step in search(values)[0].steps] == [25, 33]


def test_two_bad_nights_with_a_good_one_between_are_no_level() -> None:
    dice, told = np.random.default_rng(7), 0
    for _ in range(10):
        values = run(dice, 60)
        values[0][[30, 32]] -= 0.3
        told += bool(search(values)[0].steps)
    assert told == 0


def test_step_is_suspected_in_its_first_night_and_certain_later() -> None:
    values = run(np.random.default_rng(8), 40)
    values[0][36:] += 1.6 * STEP
    first = of_first(judged([one[:37] for one in values]))
    assert [(change.status, change.nights_since) for change in first] == [("suspected", 1)]
    later = of_first(judged(values))
    assert [(change.status, change.run_id) for change in later] == [("regression", "run-36")]


def test_small_step_is_suspected_over_several_nights() -> None:
    dice, told = np.random.default_rng(9), []
    for _ in range(20):
        values = run(dice, 43)
        values[0][40:] += math.log(0.93)
        told += [
            change for change in of_first(judged(values)) if change.status == "suspected" and change.nights_since > 1
        ]
    assert told
    (group,) = change_groups.group_changes(told[:1])
    assert "since the night of" in group.heading
    assert "not certain yet" in group.heading


def test_suspicion_of_several_nights_is_not_that_of_one_bad_night() -> None:
    dice, told = np.random.default_rng(10), 0
    for _ in range(20):
        values = run(dice, 40)
        values[0][-2] -= 0.4
        told += any(change.status == "suspected" for change in of_first(judged(values)))
    assert told <= 3


def decline(dice: Generator, nights: int, before: int = 30, a_night: float = 0.003) -> list[NightValues]:
    values = run(dice, nights)
    values[0][before:] -= a_night * np.arange(1, nights - before + 1)
    return values


def test_slow_decline_is_found_and_is_no_news_for_ever() -> None:
    values, failed, told = decline(np.random.default_rng(11), 90), [], []
    for night in range(42, 91, 4):
        found = of_first(judged([one[:night] for one in values]))
        failed.append(any(change.status == "regression" for change in found))
        told += [change for change in found if change.gradual]
    assert 2 <= sum(failed) <= 10
    assert failed.index(True) <= 6
    assert {change.status for change in told} == {"regression", "standing"}
    (group,) = change_groups.group_changes(told[-1:])
    assert group.heading.startswith("ebpf, bit by bit since the night of 2026-06-15 (run run-14)")
    assert told[-1].low < told[-1].change < told[-1].high < 0


def test_decline_of_a_metric_that_is_better_when_lower_is_its_rise() -> None:
    values = decline(np.random.default_rng(12), 85, a_night=-0.004)
    assert any(change.gradual for change in of_first(judged(values, "cpu_s_per_gbit")))
    assert not any(change.gradual for change in of_first(judged(values)))


def test_single_step_is_no_decline() -> None:
    values = run(np.random.default_rng(13), 80)
    values[0][40:] += 1.5 * STEP
    assert [(change.status, change.gradual) for change in of_first(judged(values))] == [("standing", False)]


def test_stable_nights_are_no_decline() -> None:
    dice, nights = np.random.default_rng(14), 90
    found = [change for _ in range(5) for change in judged(run(dice, nights)).changes]
    assert not [change for change in found if change.gradual]


def test_level_since_the_last_change_is_over_its_nights_alone() -> None:
    values = run(np.random.default_rng(15), 50)
    values[0][30:] += 2 * STEP
    values[0][45] -= 0.5
    one, other = judged(values).levels[:2]
    assert (one.run_id, one.changed, one.nights, one.nights_left_out) == ("run-30", True, 19, 1)
    assert one.low < 0.9**2 - 1 < one.high
    assert one.high - one.low < 8 * NOISE / math.sqrt(19)
    assert one.tonight == pytest.approx(math.expm1(values[0][-1]))
    assert (other.changed, other.nights + other.nights_left_out, other.run_id) == (False, 50, "run-0")
    assert one.span == "19 nights since 2026-07-01"
    assert one.estimate.startswith(("−19 % [", "−18 % [", "−20 % ["))


def test_levels_intervals_hold_together() -> None:
    """With bad nights and steps; `make bench-changes` has more kinds, and enough runs for figures."""
    dice, held = np.random.default_rng(16), Rate()
    for _ in range(12):
        levels = judged([*stepped_run(dice, LONE, 0.1).series]).levels
        truths = [-0.1] * CHANGED + [0.0] * (len(levels) - CHANGED)
        held.add(happened=all(one.low <= truth <= one.high for one, truth in zip(levels, truths, strict=True)))
    assert held.upper >= 1 - SIGNIFICANCE, held


def test_interval_of_a_level_is_over_all_nights_at_which_it_may_have_begun() -> None:
    values = run(np.random.default_rng(19), 40)
    clear, unclear = [one.copy() for one in values], [one.copy() for one in values]
    clear[0][30:] += 6 * STEP
    unclear[0][30:] += STEP
    widths = []
    for each in (clear, unclear):
        level = judged(each).levels[0]
        assert level.run_id in {"run-29", "run-30", "run-31"}
        widths.append(math.log1p(level.high) - math.log1p(level.low))
    assert widths[1] > 1.1 * widths[0]


def test_bad_nights_on_one_side_do_not_move_the_level() -> None:
    values = run(np.random.default_rng(20), 90)
    bad = [one.copy() for one in values]
    bad[0][5::12] -= 3.4 * NOISE
    (without, *_), (level, *_) = judged(values).levels, judged(bad).levels
    assert level.value == pytest.approx(without.value, abs=0.2 * NOISE)


def test_absolute_level_has_the_metrics_unit() -> None:
    values = [one + math.log(9.8e9) for one in run(np.random.default_rng(17), 30)]
    level = judged(values, against=None).levels[0]
    assert isinstance(level, LevelSince)
    assert " Gbit/s [" in level.estimate
    assert level.this_night.endswith(" Gbit/s")
    assert level.key == ("received_bps", Cell("path-0", "iperf3", "tcp", "forward"), "ebpf", None)


def test_intervals_are_wider_where_fewer_of_many_series_changed() -> None:
    values = run(np.random.default_rng(18), 40)
    widths = []
    for changed in (1, 10, SERIES):
        shifted = [one.copy() for one in values]
        for one in shifted[:changed]:
            one[25:] += 2 * STEP
        first = of_first(judged(shifted))[0]
        widths.append(math.log1p(first.high) - math.log1p(first.low))
    assert all(one > 1.05 * two for one, two in pairwise(widths))
