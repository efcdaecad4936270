"""No sentence may claim more than its interval."""

import re
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from analysis.domain import Cell
from analysis.metrics import BY_NAME, COMPARED
from analysis.metrics.metric import ComparedMetric
from analysis.stats.verdicts.comparison import Comparison
from analysis.stats.verdicts.judgement import MetricFigures, Plan, compare_run

TCP, UDP = Cell("p", "iperf3", "tcp", "forward"), Cell("p", "iperf3", "udp", "forward")
CELLS = {TCP: "p tcp", UDP: "p udp", Cell("q", "tcp_connect", "tcp", "reverse"): "q connect reverse"}
SIDES = ["base", "one", "two"]

visits = st.dictionaries(
    st.tuples(st.sampled_from([*CELLS]), st.sampled_from(SIDES)),
    st.dictionaries(st.tuples(st.just("run"), st.integers(1, 7)), st.just(0.0) | st.floats(1e-9, 1e10)),
)
plans = st.builds(Plan, st.sampled_from([None, 2, 3, 4, 16]), st.sampled_from([0.01, 0.1, 0.5]))


def compared(
    metric: str | ComparedMetric, cells: Mapping[Cell, str], dataplanes: list[str], **values: list[float]
) -> list[Comparison]:
    """The comparisons in the first cell, with a value for each round of each dataplane."""
    cell = next(iter(cells))
    means = {(cell, name): {("run", n): v for n, v in enumerate(found)} for name, found in values.items()}
    known = BY_NAME[metric] if isinstance(metric, str) else metric
    return list(compare_run([MetricFigures(known, cells, means)], dataplanes, Plan())[0])


@given(st.sampled_from(COMPARED), visits, plans)
def test_comparison_sentence_claims_no_more_than_its_interval(metric, values, plan) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    for c in compare_run([MetricFigures(metric, CELLS, values)], SIDES, plan)[0]:
        if c.low is None or c.high is None:
            assert (c.verdict, c.p_adjusted, c.change, c.within_margin) == ("undecided", None, None, False)
            assert c.reason
            assert not re.search(r"[+−]\d", c.sentence)
            continue
        assert c.change is not None
        assert c.p_adjusted is not None
        assert c.low <= c.change <= c.high
        assert c.within_margin == (max(-c.low, c.high) <= c.margin_ratio)
        assert c.outcome == ("different" if c.low > 0 or c.high < 0 else "same" if c.within_margin else "undecided")
        assert (c.p_adjusted < 0.05) == (c.outcome == "different")
        assert (c.verdict == "higher") == (c.low > 0)
        assert ("the same within" in c.sentence) == (c.verdict == "same")
        assert ("undecided, between" in c.sentence) == (c.verdict == "undecided")


def test_difference_sentence() -> None:
    (c,) = compared(
        "received_bps",
        {TCP: "p tcp"},
        ["base", "new"],
        base=[3.0e9, 3.1e9, 2.9e9, 3.0e9],
        new=[5.2e9, 5.3e9, 5.0e9, 5.2e9],
    )
    assert (c.verdict, c.gain, c.decided) == ("higher", True, True)
    assert c.sentence == "p tcp: new 3.00 → 5.17 Gbit/s, +73 % [70, 75]"


def test_lower_cpu_is_a_gain() -> None:
    (c,) = compared(
        "cpu_s_per_gbit",
        {TCP: "p tcp"},
        ["base", "new"],
        base=[0.50, 0.51, 0.49, 0.50],
        new=[0.30, 0.31, 0.29, 0.30],
    )
    assert (c.verdict, c.gain) == ("lower", True)
    assert c.sentence.startswith("p tcp, CPU per Gbit: new ")


def test_loss_difference_is_in_percentage_points() -> None:
    (c,) = compared("loss_ratio", {UDP: "p udp"}, ["base", "new"], base=[0.20, 0.21, 0.19], new=[0.0, 0.011, 0.0])
    assert (c.verdict, c.margin_ratio) == ("lower", 0.01)
    assert "points [" in c.sentence


def test_small_differences_are_the_same() -> None:
    (c,) = compared(
        "received_bps",
        {TCP: "p tcp"},
        ["base", "new"],
        base=[1.0e9, 1.01e9, 0.99e9, 1.0e9, 1.0e9, 1.02e9],
        new=[1.0e9, 1.0e9, 1.0e9, 1.01e9, 1.0e9, 1.0e9],
    )
    assert (c.verdict, c.gain, c.within_margin) == ("same", None, True)
    assert c.answer.startswith("the same within 10 %: −0.2 % [")


def test_noisy_run_is_undecided() -> None:
    (c,) = compared(
        "received_bps", {TCP: "p tcp"}, ["base", "new"], base=[1.0e9, 1.02e9, 1.3e9], new=[1.04e9, 1.25e9, 1.2e9]
    )
    assert c.verdict == "undecided"
    assert re.fullmatch(r"undecided, between −\d+ % and \+\d+ %", c.answer)


def test_one_visit_of_zero_drops_no_comparison() -> None:
    (c,) = compared(
        "received_bps", {UDP: "p udp"}, ["base", "new"], base=[1e9, 1.1e9, 0.9e9, 1e9], new=[0.0, 1e7, 0.0, 2e7]
    )
    assert c.verdict == "lower"
    assert c.value == 7.5e6
    assert c.sentence.startswith("p udp: new 1.000 → 0.007 Gbit/s, −99 % [") or "−99 % [" in c.sentence


def test_share_of_equal_figures_is_no_more_certain_than_the_metrics_resolution() -> None:
    (c,) = compared("received_bps", {UDP: "p udp"}, ["base", "new"], base=[1e9, 1e9, 1e9], new=[0.0, 0.0, 0.0])
    assert c.verdict == "lower"
    assert c.low is not None
    assert c.high is not None
    assert c.high - c.low > 0.002


def test_share_of_a_baseline_of_zero_is_not_computed() -> None:
    (c,) = compared("received_bps", {UDP: "p udp"}, ["base", "new"], base=[0.0, 0.0], new=[1e9, 1e9])
    assert (c.verdict, c.low) == ("undecided", None)
    assert "base measured no throughput above zero" in c.sentence


def test_one_round_has_no_interval() -> None:
    (c,) = compared("received_bps", {TCP: "p tcp"}, ["base", "new"], base=[1e9], new=[2e9])
    assert c.answer == "undecided: 1 round measured both, and an interval takes 2"


def test_boundless_interval_is_printed() -> None:
    (c,) = compared("received_bps", {TCP: "p tcp"}, ["base", "new"], base=[1e9, 1e9], new=[1e4, 9e12])
    assert c.answer == "undecided, between −100 % and +∞ %"
    assert c.estimate.endswith("[−100, ∞]")


def test_comparisons_include_those_between_other_dataplanes() -> None:
    found = compared(
        "received_bps",
        {TCP: "p tcp"},
        ["base", "one", "two"],
        base=[1e9, 1.01e9, 0.99e9],
        one=[2e9, 2.02e9, 2.0e9],
        two=[3e9, 3.0e9, 3.03e9],
    )
    assert [(c.baseline, c.dataplane, c.against_baseline) for c in found] == [
        ("base", "one", True),
        ("base", "two", True),
        ("one", "two", False),
    ]
    assert found[2].sentence.startswith("p tcp: two against one 2.01 → 3.01 Gbit/s, +50 % [")
