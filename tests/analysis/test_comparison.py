"""No sentence may claim more than its interval."""

import re

from hypothesis import given
from hypothesis import strategies as st

from analysis.domain import Cell
from analysis.stats.comparison import compare_all
from analysis.stats.metrics import BY_NAME, COMPARED

TCP, UDP = Cell("p", "iperf3", "tcp", "forward"), Cell("p", "iperf3", "udp", "forward")
CELLS = {TCP: "p tcp", UDP: "p udp", Cell("q", "tcp_connect", "tcp", "reverse"): "q connect reverse"}
SIDES = ["base", "one", "two"]

visits = st.dictionaries(
    st.tuples(st.sampled_from([*CELLS]), st.sampled_from(SIDES)),
    st.dictionaries(st.integers(1, 7), st.floats(0, 1e10, allow_nan=False, allow_subnormal=False), max_size=7),
)


@given(st.sampled_from(COMPARED), visits)
def test_comparison_sentence_claims_no_more_than_its_interval(metric, values) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    for c in compare_all(metric, CELLS, "base", ["one", "two"], values):
        if c.found:
            assert c.low is not None
            assert c.high is not None
            assert c.p_adjusted is not None
            assert c.p is not None
            assert c.p <= c.p_adjusted < 0.05
            assert c.low > 0 if c.verdict == "higher" else c.high < 0
            assert c.low <= (c.change or 0) <= c.high
        else:
            assert "no difference seen" in c.sentence or "can't tell" in c.sentence
        if c.verdict == "no-difference":
            assert c.smallest_effect is not None
            assert "would have seen" in c.sentence
            assert c.smallest_effect <= 0.5
        if c.verdict == "cannot-tell":
            assert c.reason
            assert not re.search(r"[+−]\d", c.sentence)


def test_significant_difference_sentence() -> None:
    values = {
        (TCP, "base"): {1: 3.0e9, 2: 3.1e9, 3: 2.9e9, 4: 3.0e9},
        (TCP, "new"): {1: 5.2e9, 2: 5.3e9, 3: 5.0e9, 4: 5.2e9},
    }
    (c,) = compare_all(BY_NAME["received_bps"], {TCP: "p tcp"}, "base", ["new"], values)
    assert c.verdict == "higher"
    assert c.gain is True
    assert c.sentence == "p tcp: new 3.00 → 5.17 Gbit/s, +73 % [70, 75]"


def test_lower_cpu_is_a_gain() -> None:
    values = {
        (TCP, "base"): {1: 0.50, 2: 0.51, 3: 0.49, 4: 0.50},
        (TCP, "new"): {1: 0.30, 2: 0.31, 3: 0.29, 4: 0.30},
    }
    (c,) = compare_all(BY_NAME["cpu_s_per_gbit"], {TCP: "p tcp"}, "base", ["new"], values)
    assert (c.verdict, c.gain) == ("lower", True)
    assert c.sentence.startswith("p tcp, CPU per Gbit: new ")


def test_loss_difference_is_in_percentage_points() -> None:
    values = {
        (UDP, "base"): {1: 0.20, 2: 0.21, 3: 0.19},
        (UDP, "new"): {1: 0.0, 2: 0.011, 3: 0.0},
    }
    (c,) = compare_all(BY_NAME["loss_ratio"], {UDP: "p udp"}, "base", ["new"], values)
    assert c.verdict == "lower"
    assert "points [" in c.sentence


def test_noisy_run_is_inconclusive() -> None:
    values = {
        (TCP, "base"): {1: 1.00e9, 2: 1.02e9, 3: 1.3e9},
        (TCP, "new"): {1: 1.04e9, 2: 1.25e9, 3: 1.2e9},
    }
    (c,) = compare_all(BY_NAME["received_bps"], {TCP: "p tcp"}, "base", ["new"], values)
    assert c.verdict == "cannot-tell"
    assert "3 rounds would have shown only a difference of" in c.sentence


def test_zero_throughput_baseline_is_not_divided_by() -> None:
    values = {
        (UDP, "base"): {1: 1e9, 2: 1e9},
        (UDP, "new"): {1: 0.0, 2: 1e9},
    }
    (c,) = compare_all(BY_NAME["received_bps"], {UDP: "p udp"}, "base", ["new"], values)
    assert c.verdict == "cannot-tell"
    assert "no throughput above zero" in c.sentence


def test_detectable_effect_of_a_noisy_run_is_omitted() -> None:
    values = {
        (TCP, "base"): {1: 1e9, 2: 1e9},
        (TCP, "new"): {1: 1e4, 2: 9e12},
    }
    (c,) = compare_all(BY_NAME["received_bps"], {TCP: "p tcp"}, "base", ["new"], values)
    assert c.answer == "can't tell: 2 rounds would not even have shown a difference of 1000 %"
    assert c.estimate.endswith("[−100, ∞]")
