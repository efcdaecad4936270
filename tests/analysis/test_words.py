"""Figures as text: never sharper, never surer than what was computed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import words

shares = st.floats(-0.99, 50, allow_nan=False)


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("∞", "inf"))


@given(shares, shares)
def test_an_interval_as_text_holds_the_interval_as_computed(one: float, two: float) -> None:
    low, high = sorted((one, two))
    shown = [number(part) for part in words.interval(low, high).strip("[]").split(", ")]
    assert shown[0] <= low * 100 + 1e-6
    assert shown[1] >= high * 100 - 1e-6


@given(st.floats(1e-4, 50), st.floats(1e-4, 50))
def test_an_interval_beyond_zero_does_not_look_as_if_it_touched_it(one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert number(words.interval(low, high).strip("[]").split(", ")[0]) > 0
    assert number(words.interval(-high, -low).strip("[]").split(", ")[1]) < 0


@given(st.floats(1e-5, 10))
def test_what_would_have_been_seen_is_rounded_up(effect: float) -> None:
    assert number(words.at_least(effect).removesuffix(" %")) >= effect * 100 - 1e-6


@given(st.floats(1e-3, 1e6))
def test_three_digits_are_within_half_a_per_cent(value: float) -> None:
    assert float(words.digits(value)) == pytest.approx(value, rel=0.00501)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.quantity(5.2134e9, "bit/s"), "5.21 Gbit/s"),
        (words.quantity(2.5e8, "bit/s"), "250 Mbit/s"),
        (words.quantity(None, "bit/s"), "–"),
        (words.quantity(0.0, "bit/s"), "0 Gbit/s"),
        (words.quantity(0.1234, words.SHARE), "12.3 %"),
        (words.quantity(1.05, "1"), "1.05"),
        (words.step(233e-6, 44e-6, "s"), "233 → 44.0 µs"),
        (words.percent(0.72), "+72 %"),
        (words.percent(-0.031), "−3.1 %"),
        (words.percent(0.00001), "0.0 %"),
        (words.percent(12.4), "+1240 %"),
        (words.interval(0.651, 0.799), "[65, 80]"),
        (words.interval(-0.012, float("inf")), "[−1.2, ∞]"),
        (words.cell("pod-to-pod", "tcp", "forward", both_directions=False), "pod-to-pod tcp"),
        (words.cell("pod-to-pod", "tcp", "reverse", both_directions=False), "pod-to-pod tcp reverse"),
        (words.cell("pod-to-pod", "tcp", "forward", both_directions=True), "pod-to-pod tcp forward"),
        (words.count(1, "trial"), "1 trial"),
        (words.count(12000, "trial"), "12 000 trials"),
        (words.listing(["a", "b", "c"]), "a, b and c"),
        (words.sentences("it needs root", "run as root"), "it needs root. Run as root."),
        (words.sentences("it needs root.", "Run as root."), "it needs root. Run as root."),
        (words.sentences("it needs root", None), "it needs root."),
        (
            words.sentences("nft is missing", "`sudo apt-get install -y nftables`"),
            "nft is missing. `sudo apt-get install -y nftables`.",
        ),
        (words.sentences("nft is missing", "type `make run`"), "nft is missing. Type `make run`."),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert text == expected
