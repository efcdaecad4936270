"""The series on which change detections are compared, and the count of what they find."""

import numpy as np
import pytest

from analysis.errors import Unsupported
from benchmarks.simulations import night_series
from benchmarks.simulations.change_finders import DetectedChanges, Otava, find_in_run
from benchmarks.simulations.changes import precision_recall
from benchmarks.simulations.night_series import (
    ALIKE,
    CHANGED,
    LONE,
    PLAIN,
    SERIES,
    SimulatedRun,
    fresh_run,
    nights,
    stepped_run,
)


def test_bad_nights_stand_alone() -> None:
    dice = np.random.default_rng(1)
    for _ in range(50):
        bad = np.flatnonzero(nights(dice, LONE) < -0.13)
        assert 5 <= len(bad) <= 10
        assert (np.diff(bad) > 1).all()


def test_nights_are_as_alike_as_they_say() -> None:
    dice = np.random.default_rng(2)
    values = np.array([nights(dice, ALIKE) for _ in range(60)])
    assert float(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]) == pytest.approx(0.5, abs=0.05)
    assert float(values.std()) == pytest.approx(night_series.NOISE, rel=0.05)


def test_step_of_a_run_is_found_in_its_night() -> None:
    run = stepped_run(np.random.default_rng(3), PLAIN, 0.2)
    found = find_in_run(run.series)
    assert [one.certain[0] for one in found[:CHANGED]] == list(run.steps)
    assert sum(bool(one.certain) for one in found[CHANGED:]) <= 1
    fresh = find_in_run(fresh_run(np.random.default_rng(4), 0.2, 20, 3).series)
    assert all(one.fails for one in fresh[:CHANGED])
    assert len(fresh) == SERIES


def test_precision_counts_points_and_recall_counts_steps() -> None:
    run = SimulatedRun((np.zeros(90),) * 3, (30, 40, 50))
    found = [DetectedChanges((32, 60), (32, 60)), DetectedChanges((37,), (37,)), DetectedChanges((), (50,))]
    precision, recall = precision_recall([run], [found])
    assert (precision.count, precision.of) == (1, 3)
    assert (recall.count, recall.of) == (1, 3)


def test_environment_without_otava_is_named() -> None:
    with pytest.raises(Unsupported, match=r"python3? does not run Apache Otava"):
        Otava("python3")([[np.zeros(5)]])
