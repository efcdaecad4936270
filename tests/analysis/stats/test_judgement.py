import math
import random
from collections.abc import Iterable, Mapping

import pytest

from analysis.domain import Cell
from analysis.metrics import BY_NAME, COMPARED
from analysis.metrics.metric import ComparedMetric, ValueScale
from analysis.stats.estimates.differences import Block
from analysis.stats.estimates.margins import is_within
from analysis.stats.estimates.sequential import level_after
from analysis.stats.verdicts.comparison import Comparison
from analysis.stats.verdicts.judgement import CellOfArm, Family, MetricFigures, Plan, compare_run
from analysis.summary.figures.standings import stand

CELLS = [Cell(f"path {n}", "iperf3", "tcp", "forward") for n in range(4)]
SIDES = ["base", "one", "two"]
GAINS = {"base": 1.0, "one": 1.3, "two": 1.7}
LATE = Plan(most_rounds=12)


def visits(rounds: int = 5, seed: int = 1, sides: Iterable[str] = SIDES) -> dict[CellOfArm, dict[Block, float]]:
    dice = random.Random(seed)
    return {
        (cell, side): {("run", n): 1e9 * math.exp(dice.gauss(0, 0.03)) for n in range(1, rounds + 1)}
        for cell in CELLS
        for side in sides
    }


def figures(metric: str, values: Mapping[CellOfArm, Mapping[Block, float]]) -> MetricFigures:
    return MetricFigures(BY_NAME[metric], {cell: cell.topology for cell in CELLS}, values)


def judged(*metrics: str, plan: Plan = Plan()) -> tuple[tuple[Comparison, ...], tuple[Family, ...]]:  # noqa: B008 - frozen
    return compare_run([figures(metric, visits()) for metric in metrics], SIDES, plan)


def width(comparison: Comparison) -> float:
    assert comparison.low is not None
    assert comparison.high is not None
    return math.log1p(comparison.high) - math.log1p(comparison.low)


def test_comparisons_come_by_metric_path_and_dataplanes() -> None:
    found = judged("received_bps", "cpu_s_per_gbit")[0]
    assert [(c.metric, c.path, c.baseline, c.dataplane) for c in found] == [
        (metric, cell.topology, *pair)
        for metric in ("received_bps", "cpu_s_per_gbit")
        for cell in CELLS
        for pair in (("base", "one"), ("base", "two"), ("one", "two"))
    ]
    assert all(c.against_baseline == (c.baseline == "base") for c in found)


def test_family_is_what_the_first_page_quotes_and_others_are_on_their_own() -> None:
    _, families = judged("received_bps", "cpu_s_per_gbit", "connect_p99_s")
    assert [(f.metrics, f.against_baseline, f.between_others, f.error) for f in families] == [
        (("throughput", "CPU per Gbit"), 16, 8, 0.05),
        (("connect time, 99th percentile",), 8, 4, 0.05),
    ]
    assert families[0].sentence == (
        "In 95 % of runs 24 intervals hold together: those of throughput and CPU per Gbit (8 of them without the "
        "baseline)."
    )


def test_error_goes_first_to_the_leading_metrics_and_the_baseline() -> None:
    """Of equal figures, those that a reader asks for first have the narrowest intervals."""
    found = {(c.metric, c.baseline): width(c) for c in judged("received_bps", "cpu_s_per_gbit")[0]}
    assert found["received_bps", "base"] < found["cpu_s_per_gbit", "base"]
    assert found["received_bps", "one"] < found["cpu_s_per_gbit", "one"]


def test_metric_that_is_not_quoted_widens_no_other_interval() -> None:
    (alone, _), (beside, _) = judged("received_bps"), judged("received_bps", "connect_p99_s")
    assert beside[: len(alone)] == alone
    quoted = judged("received_bps", "cpu_s_per_gbit")[0]
    assert all(width(a) < width(b) for a, b in zip(alone, quoted, strict=False))


@pytest.mark.parametrize("plan", [Plan(), LATE], ids=["all at once", "looking"])
@pytest.mark.parametrize("least", [0.0, 1.0], ids=["with a zero", "above zero"])
@pytest.mark.parametrize("metric", COMPARED, ids=lambda metric: metric.name)
def test_values_beside_a_difference_are_of_the_rounds_that_it_is_taken_in(
    metric: ComparedMetric, least: float, plan: Plan
) -> None:
    """Also where a visit has no usable figure, and the others of its dataplane are far from it."""
    values = {place: {block: value / 1e9 for block, value in own.items()} for place, own in visits().items()}
    for cell in CELLS:
        del values[cell, "one"]["run", 1]
        values[cell, "base"] |= {("run", 1): 9.0}
        values[cell, "one"] |= {("run", 2): least}
    for c in compare_run([figures(metric.name, values)], SIDES, plan)[0]:
        assert c.value is not None
        assert c.baseline_value is not None
        shown = c.value / c.baseline_value - 1 if metric.scale == "ratio" else c.value - c.baseline_value
        assert c.change == pytest.approx(shown, abs=1e-9)


def test_looks_widen_the_intervals() -> None:
    (fixed, _), (looked, _) = judged("received_bps"), judged("received_bps", plan=LATE)
    assert all(width(a) < width(b) for a, b in zip(fixed, looked, strict=True))
    assert judged("received_bps", plan=Plan(most_rounds=3))[0] == fixed


def test_comparison_is_judged_at_the_level_of_its_own_rounds() -> None:
    """Dataplane `two` was not visited after the third round, whose level is twice the fifth's."""
    values = {place: {b: v * GAINS[place[1]] for b, v in found.items()} for place, found in visits().items()}
    early = {place: {b: v for b, v in found.items() if b[1] <= 3} for place, found in values.items()}
    values |= {place: found for place, found in early.items() if place[1] == "two"}
    found = compare_run([figures("received_bps", values)], SIDES, LATE)[0]
    assert {of(c): c.rounds for c in found} == {("base", "one"): 5, ("base", "two"): 3, ("one", "two"): 3}
    error = -math.expm1(math.log1p(-0.05 * 6 / 8) / 8)
    for looked, all_rounds, three_rounds in zip(found, fixed(values), fixed(early), strict=True):
        alone = all_rounds if looked.rounds > 3 else three_rounds
        if looked.against_baseline:
            assert looked.p_adjusted is not None
            assert alone.p_adjusted is not None
            assert looked.p_adjusted < 1
            assert looked.p_adjusted / alone.p_adjusted == pytest.approx(error / level_after(error, looked.rounds, 12))


def of(comparison: Comparison) -> tuple[str, str]:
    return comparison.baseline, comparison.dataplane


def fixed(values: Mapping[CellOfArm, Mapping[Block, float]]) -> tuple[Comparison, ...]:
    return compare_run([figures("received_bps", values)], SIDES, Plan())[0]


def test_dataplane_that_was_never_measured_costs_the_others_nothing() -> None:
    without, families = compare_run([figures("received_bps", visits(sides=["base", "one"]))], SIDES, Plan())
    alone, same = compare_run([figures("received_bps", visits(sides=["base", "one"]))], ["base", "one"], Plan())
    assert [c for c in without if "two" not in of(c)] == list(alone)
    assert families == same
    lost = [c for c in without if "two" in of(c)]
    assert {(c.verdict, c.reason) for c in lost} == {("undecided", "two has no measured visit here")}


def test_one_visit_of_zero_changes_no_other_comparison() -> None:
    values = visits()
    other = {**values, (CELLS[0], "one"): {**values[CELLS[0], "one"], ("run", 2): 0.0}}
    before, after = fixed(values), fixed(other)
    changed = {(c.path, of(c)) for c, d in zip(before, after, strict=True) if c.change != d.change}
    assert changed == {("path 0", ("base", "one")), ("path 0", ("one", "two"))}
    assert all(c.low is not None for c in after)


def test_rounds_of_several_runs_are_blocks() -> None:
    """Two runs, each drifting on its own: only figures of one round are ever compared."""
    values = visits(4)
    far = {place: {("later", n): 9 * v for (_, n), v in found.items()} for place, found in visits(4, seed=2).items()}
    found = compare_run([figures("received_bps", {p: values[p] | far[p] for p in values})], SIDES, Plan())[0]
    assert {c.rounds for c in found} == {8}
    assert max(abs(c.change or 0) for c in found) < 0.1


@pytest.mark.parametrize("margin", [0.02, 0.1])
def test_margin_is_the_plans(margin: float) -> None:
    for c in judged("received_bps", plan=Plan(margin_ratio=margin))[0]:
        assert c.margin_ratio == margin
        farthest = max(-math.log1p(c.low or 0), math.log1p(c.high or 0))
        assert (c.verdict == "same") == (farthest <= math.log1p(margin))


@pytest.mark.parametrize("gain", [1.06, 1.098, 1.12])
def test_order_of_two_dataplanes_changes_nothing_about_the_margin(gain: float) -> None:
    """A difference of +10 % is one of -9.1 % the other way round: both or neither are the same within 10 %."""
    dice = random.Random(5)
    values = {
        (CELLS[0], side): {("run", n): 1e9 * level * math.exp(dice.gauss(0, 0.004)) for n in range(1, 11)}
        for side, level in (("base", 1.0), ("one", gain))
    }
    found = []
    for order in (["base", "one"], ["one", "base"]):
        (c,) = compare_run([MetricFigures(BY_NAME["received_bps"], {CELLS[0]: "path"}, values)], order, Plan(10))[0]
        standings = {name: one.standing for name, one in stand(order, [c]).items()}
        found.append((c.within_margin, c.verdict == ("higher" if order[0] == "base" else "lower"), standings))
    assert found[0] == found[1]
    assert found[0][0] == (gain < 1.09)
    assert found[0][2] == {"one": "best", "base": "as-good" if gain < 1.09 else "worse"}


@pytest.mark.parametrize("scale", ["ratio", "points"])
def test_margin_of_a_change_and_of_its_reverse_is_one(scale: ValueScale) -> None:
    dice = random.Random(3)
    for _ in range(200):
        low, high = sorted((dice.uniform(-0.13, 0.13), dice.uniform(-0.13, 0.13)))
        ends = (-high, -low) if scale == "points" else (1 / (1 + high) - 1, 1 / (1 + low) - 1)
        assert is_within(low, high, 0.1, scale) == is_within(*ends, 0.1, scale)
    assert is_within(-0.09, 0.1, 0.1, scale)
    assert is_within(-0.095, 0.1, 0.1, scale) == (scale == "points")


def test_judgement_of_nothing_to_compare() -> None:
    assert compare_run([], SIDES, Plan()) == ((), ())
    assert compare_run([figures("received_bps", visits())], ["base"], Plan()) == ((), ())
