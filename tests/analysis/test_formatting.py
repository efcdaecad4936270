"""Figures as text: never sharper, never surer than what was computed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import formatting

shares = st.floats(-0.99, 50, allow_nan=False)


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("∞", "inf"))


@given(shares, shares)
def test_formatted_interval_contains_the_computed_interval(one: float, two: float) -> None:
    low, high = sorted((one, two))
    shown = [number(part) for part in formatting.interval(low, high).strip("[]").split(", ")]
    assert shown[0] <= low * 100 + 1e-6
    assert shown[1] >= high * 100 - 1e-6


@given(st.floats(1e-4, 50), st.floats(1e-4, 50))
def test_formatted_interval_beyond_zero_excludes_zero(one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert number(formatting.interval(low, high).strip("[]").split(", ")[0]) > 0
    assert number(formatting.interval(-high, -low).strip("[]").split(", ")[1]) < 0


@given(st.floats(1e-5, 10))
def test_detectable_effect_is_rounded_up(effect: float) -> None:
    assert number(formatting.percent_rounded_up(effect).removesuffix(" %")) >= effect * 100 - 1e-6


@given(st.floats(1e-3, 1e6))
def test_three_significant_digits_are_within_half_a_per_cent(value: float) -> None:
    assert float(formatting.digits(value)) == pytest.approx(value, rel=0.00501)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formatting.quantity(5.2134e9, "bit/s"), "5.21 Gbit/s"),
        (formatting.quantity(2.5e8, "bit/s"), "250 Mbit/s"),
        (formatting.quantity(None, "bit/s"), "–"),
        (formatting.quantity(0.0, "bit/s"), "0 Gbit/s"),
        (formatting.quantity(0.1234, formatting.SHARE), "12.3 %"),
        (formatting.quantity(1.05, "1"), "1.05"),
        (formatting.transition(233e-6, 44e-6, "s"), "233 → 44.0 µs"),
        (formatting.percent(0.72), "+72 %"),
        (formatting.percent(-0.031), "−3.1 %"),
        (formatting.percent(0.00001), "0.0 %"),
        (formatting.percent(12.4), "+1240 %"),
        (formatting.interval(0.651, 0.799), "[65, 80]"),
        (formatting.interval(-0.012, float("inf")), "[−1.2, ∞]"),
        (formatting.cell("pod-to-pod", "tcp", "forward", both_directions=False), "pod-to-pod tcp"),
        (formatting.cell("pod-to-pod", "tcp", "reverse", both_directions=False), "pod-to-pod tcp reverse"),
        (formatting.cell("pod-to-pod", "tcp", "forward", both_directions=True), "pod-to-pod tcp forward"),
        (formatting.count(1, "trial"), "1 trial"),
        (formatting.count(12000, "trial"), "12 000 trials"),
        (formatting.listing(["a", "b", "c"]), "a, b and c"),
        (formatting.sentences("it needs root", "run as root"), "it needs root. Run as root."),
        (formatting.sentences("it needs root.", "Run as root."), "it needs root. Run as root."),
        (formatting.sentences("it needs root", None), "it needs root."),
        (
            formatting.sentences("nft is missing", "`sudo apt-get install -y nftables`"),
            "nft is missing. `sudo apt-get install -y nftables`.",
        ),
        (formatting.sentences("nft is missing", "type `make run`"), "nft is missing. Type `make run`."),
    ],
)
def test_formatting_examples(text: str, expected: str) -> None:
    assert text == expected
