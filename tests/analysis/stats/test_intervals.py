import math

import pytest

from analysis.stats.estimates import intervals


def test_mean_rate_is_geometric_and_needs_two_visits() -> None:
    interval = intervals.geometric_mean_interval([2.0, 8.0])
    assert interval is not None
    assert interval.mean == pytest.approx(4.0)
    assert intervals.geometric_mean_interval([2.0]) is None
    assert intervals.geometric_mean_interval([2.0, 0.0]) is None
    wild = intervals.geometric_mean_interval([1e-300, 1e300])
    assert wild is not None
    assert wild.high == math.inf
