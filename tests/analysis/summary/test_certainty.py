"""How sure an answer is, and how many more rounds would settle it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.stats.verdicts.comparison import Comparison
from analysis.summary.answer.certainty import MOST_ROUNDS, rounds_needed
from tests.analysis.summary.comparisons import MARGIN, answer_of, compared, run_of

PAIR = {"a": "a", "b": "b"}


def comparison(ratio: float, half: float, rounds: int = 4) -> Comparison:
    (found,) = compared({"a": 1.0, "b": ratio}, half)
    return replace(found, rounds=rounds)


@pytest.mark.parametrize(
    ("ratio", "half", "more"),
    [
        (1.2, 0.2, 4),  # 1.28 x .20 must shrink to .18: (1.40)^2 x 4 = 7.9 rounds
        (1.0, 0.2, 25),  # to the margin of .095: (2.69)^2 x 4 = 28.9
        (1.05, 0.06, 4),  # to .049, as a difference: (1.57)^2 x 4 = 9.9
        (1.0, 0.5, None),
        (1.0, 3.0, None),
    ],
)
def test_rounds_that_would_decide(ratio: float, half: float, more: int | None) -> None:
    found = rounds_needed(comparison(ratio, half))
    assert found == (None if more is None else pytest.approx(more, abs=2))


@given(st.floats(0.6, 1.6), st.floats(0.01, 1.0), st.integers(2, 16))
def test_so_many_rounds_decide_what_stays_as_it_is(ratio: float, half: float, rounds: int) -> None:
    found = comparison(ratio, half, rounds)
    more = rounds_needed(found)
    if found.decided or more is None:
        return
    shrunk = half * math.sqrt(rounds / (rounds + more))
    assert comparison(ratio, shrunk).decided
    assert 1 <= more <= MOST_ROUNDS


def test_too_few_rounds_need_the_first_look_and_unmeasured_ones_no_number() -> None:
    one = replace(comparison(1.0, 0.2, 1), low=None, high=None, change=None, reason="one round has no spread")
    assert rounds_needed(one) == 2
    assert rounds_needed(replace(one, value=None)) is None


def test_no_number_of_rounds_is_advised_against_a_baseline_that_received_nothing() -> None:
    about = run_of(PAIR, parameters={"rounds": 8})
    zero = replace(
        comparison(1.2, 0.2), baseline_value=0.0, low=None, high=None, change=None, reason="no ratio to zero"
    )
    certainty = answer_of(about, [zero]).certainty
    assert (certainty.undecided, certainty.unsettled, certainty.command) == (1, 1, "")
    assert certainty.advice == "1 comparison is undecided; not even 40 more rounds would probably settle it."


def test_advice_has_rounds_minutes_and_the_command() -> None:
    about = run_of(PAIR, parameters={"rounds": 8, "stopped": "budget", "budget_s": 1200})
    certainty = answer_of(about, compared({"a": 1.0, "b": 1.2}, 0.2)).certainty
    assert certainty.basis == "4 of at most 8 rounds in 12 min. It stopped because its budget of 20 min was spent."
    assert certainty.advice == "1 comparison is undecided; 4 more rounds, about 12 minutes, would probably settle it."
    assert certainty.command == "make submit CONTEXT=prod CONTINUES=run-1 ROUNDS=4"


def test_decided_run_needs_nothing_more() -> None:
    about = run_of(PAIR, parameters={"stopped": "decided", "rounds": 4})
    certainty = answer_of(about, compared({"a": 1.0, "b": 2.0})).certainty
    assert certainty.basis == "4 rounds in 12 min. It stopped because everything was decided."
    assert (certainty.advice, certainty.command) == ("", "")


def test_advice_where_more_rounds_would_not_settle_it() -> None:
    certainty = answer_of(run_of(PAIR), compared({"a": 1.0, "b": 1.0}, 0.6)).certainty
    assert certainty.advice == "1 comparison is undecided; not even 40 more rounds would probably settle it."
    assert certainty.command == ""
    three = dict.fromkeys("abc", "")
    found = compared({"a": 1.0, "b": 1.2, "c": 1.0}, 0.2, halves={frozenset("ac"): 0.6})
    certainty = answer_of(run_of(three), found).certainty
    assert certainty.advice.startswith("3 comparisons are undecided; ")
    assert certainty.advice.endswith("would probably settle 2 of them, and not even 40 the rest.")


def test_lab_is_continued_by_make_run_in_its_store() -> None:
    about = replace(run_of(PAIR, parameters={"results": "/tmp/my results"}), environment="lab")
    certainty = answer_of(about, compared({"a": 1.0, "b": 1.2}, 0.2)).certainty
    assert certainty.command == "make run CONTINUES=run-1 ROUNDS=4 RESULTS='/tmp/my results'"


def test_secondary_metric_is_settled_only_where_the_leading_ones_are() -> None:
    cpu = compared({"a": 1.0, "b": 1.0}, 0.3, metric="cpu_s_per_gbit")
    leading = compared({"a": 1.0, "b": 1.2}, 0.2)
    assert answer_of(run_of(PAIR), [*leading, *cpu]).certainty.undecided == 1
    assert answer_of(run_of(PAIR), [*leading, *cpu]).certainty.more_rounds == 4
    assert answer_of(run_of(PAIR), [*compared({"a": 1.0, "b": 2.0}), *cpu]).certainty.undecided == 1


def test_margin_is_that_of_the_comparison() -> None:
    wide = replace(comparison(1.0, 0.2), margin_ratio=2 * MARGIN)
    assert (rounds_needed(wide) or 0) < (rounds_needed(comparison(1.0, 0.2)) or 0)
