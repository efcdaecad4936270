"""The best partition of a series by absolute deviations, and which nights are outliers in it. Pure.

Optimal partitioning (Jackson et al., "An Algorithm for Optimal Partitioning of Data on an Interval", IEEE Signal
Processing Letters 12, 2005): the partition with the least sum of absolute deviations from each segment's median, plus a
penalty for each cut. With absolute deviations a single outlier gains nothing by a cut.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.stats.change_points.night_noise import NightValues, middle

LEAST: Final = 2
"""The fewest nights of a level."""

ODD: Final = 4.0
"""A night this many times the noise off its level is an outlier: it enters neither the mean nor the noise."""

_ALIKE: Final = 1e-9
"""Partitions that differ by so much cost the same, which is common with medians: rounding must not choose. The one that
begins first is taken."""

_MOSTLY: Final = 0.75
"""The least share of a level's nights that are no outliers: two bad nights with a good one between are no level."""


def segment_starts(values: NightValues, penalty: float) -> list[list[int]]:
    """The first index of each segment of the best partition of each series, beginning with 0.

    `values`: a row for each series, in units of its noise. Many at once take a fifth of the time of one by one.
    `penalty`: what a cut must gain, in the same units, summed over nights.
    """
    rows, n = values.shape
    cost = np.full((n + 1, n + 1, rows), np.inf)  # of a part from the first index to before the second
    for length in range(LEAST, n + 1):
        half = length // 2  # deviations from the median sum up to the upper half less the lower
        parted = values.take(np.arange(n - length + 1)[:, None] + np.arange(length), axis=1)
        parted.partition(half, axis=2)
        off = parted[:, :, length - half :].sum(axis=2) - parted[:, :, :half].sum(axis=2)
        cost[np.arange(n - length + 1), np.arange(length, n + 1)] = off.T
    best = np.full((n + 1, rows), np.inf)
    best[0] = -penalty
    begins = np.zeros((n + 1, rows), dtype=np.intp)
    for end in range(LEAST, n + 1):
        totals = best[:end] + cost[:end, end] + penalty
        best[end] = totals.min(axis=0)
        begins[end] = (totals <= best[end] + _ALIKE).argmax(axis=0)
    return [_walk_back(begins[:, row]) for row in range(rows)]


def _walk_back(begins: NDArray[np.intp]) -> list[int]:
    """The segments' starts, from where the last segment of each beginning of the series begins."""
    found = [int(begins[-1])]
    while found[-1] > 0:
        found.append(int(begins[found[-1]]))
    return found[::-1]


@dataclass(frozen=True, slots=True)
class Inliers:
    """The nights of a series that are no outliers, by their indices, and the first of each segment among them."""

    nights: NDArray[np.intp]
    starts: tuple[int, ...]


def without_outliers(series: Sequence[NightValues], noises: Sequence[float]) -> list[Inliers | None]:
    """Each series without outliers, given the standard deviation of its nights. None: nothing is left."""
    found: list[Inliers | None] = [None] * len(series)
    by_length: dict[int, list[int]] = {}
    for place, values in enumerate(series):
        by_length.setdefault(len(values), []).append(place)
    for length, places in by_length.items():
        rows = np.array([series[place] / noises[place] for place in places])
        for place, row, starts in zip(places, rows, segment_starts(rows, math.log(length)), strict=True):
            found[place] = _inliers(row, starts)
    return found


def _inliers(values: NightValues, starts: list[int]) -> Inliers | None:
    """A segment of outliers alone joins its neighbour."""
    while True:
        parts = [values[one:two] for one, two in itertools.pairwise([*starts, len(values)])]
        near = [np.abs(part - middle(part)) <= ODD for part in parts]
        thin = next((i for i, kept in enumerate(near) if kept.sum() < max(LEAST, _MOSTLY * len(kept))), None)
        if thin is None:
            lengths = [int(kept.sum()) for kept in near]
            return Inliers(np.flatnonzero(np.concatenate(near)), tuple(itertools.accumulate(lengths[:-1], initial=0)))
        if len(starts) == 1:
            return None
        starts = starts[: max(thin, 1)] + starts[max(thin, 1) + 1 :]
