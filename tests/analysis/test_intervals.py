import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.stats import intervals


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_correction_is_monotone(p_values: list[float]) -> None:
    adjusted = intervals.holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    ordered = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert all(one <= two for one, two in pairwise(ordered))


def test_holm_against_a_worked_example() -> None:
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_mean_rate_is_geometric_and_needs_two_visits() -> None:
    interval = intervals.geometric_mean_interval([2.0, 8.0])
    assert interval is not None
    assert interval.mean == pytest.approx(4.0)
    assert intervals.geometric_mean_interval([2.0]) is None
    assert intervals.geometric_mean_interval([2.0, 0.0]) is None
    wild = intervals.geometric_mean_interval([1e-300, 1e300])
    assert wild is not None
    assert wild.high == math.inf
