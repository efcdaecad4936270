import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from analysis.domain import FIRST_LOOK
from analysis.stats.estimates import sequential
from analysis.stats.estimates.sequential import level_after, spent

errors = st.floats(1e-6, 0.2)
most = st.integers(4, 40)


def levels(error: float, most_rounds: int) -> dict[int, float]:
    """The level of each look, by its round."""
    return {look: level_after(error, look, most_rounds) for look in range(FIRST_LOOK, most_rounds + 1)}


def test_levels_against_a_worked_example() -> None:
    found = levels(1 - 0.95 ** (1 / 21), 16)
    assert list(found) == list(range(3, 17))
    assert found[3] == pytest.approx(6.8e-4, rel=5e-3)
    assert found[5] == pytest.approx(3.2e-4, rel=5e-3)
    assert found[16] == pytest.approx(3.8e-4, rel=5e-3)


@pytest.mark.parametrize("rounds", [4, 10])
def test_sequential_looks_together_spend_the_error(rounds: int) -> None:
    """Counted over random walks without a difference that are looked at after each round."""
    found = levels(0.1, rounds)
    limits = {look: -float(special.ndtri(level / 2)) * math.sqrt(look) for look, level in found.items()}
    dice, walks, crossed = random.Random(rounds), 20_000, 0
    for _ in range(walks):
        total = 0.0
        for look in range(1, rounds + 1):
            total += dice.gauss(0, 1)
            if look in limits and abs(total) > limits[look]:
                crossed += 1
                break
    assert crossed / walks == pytest.approx(0.1, abs=3 * math.sqrt(0.09 / walks))


@settings(max_examples=30)
@given(errors, most)
def test_every_look_has_a_level_and_none_more_than_the_error(error: float, rounds: int) -> None:
    found = levels(error, rounds)
    assert list(found) == list(range(FIRST_LOOK, rounds + 1))
    assert all(0 < level < error for level in found.values())
    assert sum(found.values()) > error  # looks overlap: who crosses at one would often cross at the next
    assert found[FIRST_LOOK] == pytest.approx(spent(error, FIRST_LOOK, rounds))


@settings(max_examples=20)
@given(errors, errors, most)
def test_sequential_levels_are_smaller_for_a_smaller_error(one: float, two: float, rounds: int) -> None:
    less, more = sorted((one, two))
    if more > 1.01 * less:
        assert all(levels(less, rounds)[r] < levels(more, rounds)[r] for r in levels(less, rounds))


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_run_that_cannot_stop_early_has_one_look(rounds: int) -> None:
    assert {level_after(0.01, each, rounds) for each in (1, 2, 3, 4)} == {0.01}


def test_comparison_beyond_the_looks_has_the_level_of_the_nearest() -> None:
    found = levels(0.01, 8)
    assert level_after(0.01, 2, 8) == found[3]
    assert level_after(0.01, 9, 8) == found[8]
    assert spent(0.01, 9, 8) == spent(0.01, 8, 8) == pytest.approx(0.01)


def test_level_of_an_early_look_does_not_wait_for_all_of_a_long_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    crossings: list[float] = []
    find = sequential._crossing

    def counted(*args: object, **more: object) -> float:
        crossings.append(find(*args, **more))  # type: ignore[arg-type]
        return crossings[-1]

    monkeypatch.setattr(sequential, "_crossing", counted)
    assert 0 < level_after(0.0321, 6, 10_000_000) < 0.0321
    assert len(crossings) == 3
