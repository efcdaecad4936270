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
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from analysis.stats.night_noise import Values

LEAST: Final = 2
"""The fewest nights of a level."""

ODD: Final = 4.0
"""A night this many times the noise off its level is an outlier: it enters neither the mean nor the noise."""

_MOSTLY: Final = 0.75
"""The least share of a level's nights that are no outliers: two bad nights with a good one between are no level."""


def segment_starts(values: Sequence[float] | Values, penalty: float, least: int = LEAST) -> list[int]:
    """The first index of each segment of the best partition, beginning with 0.

    Args:
        values: the series, in units of its noise.
        penalty: what a cut must gain, in the same units, summed over nights.
        least: the fewest nights of a segment.
    """
    series = np.asarray(values, dtype=float)
    n = len(series)
    cost = np.full((n + 1, n + 1), np.inf)  # of a part from the first index to before the second
    for length in range(least, n + 1):
        half = length // 2  # deviations from the median sum up to the upper half less the lower
        parted = np.partition(sliding_window_view(series, length), half, axis=1)
        off = parted[:, length - half :].sum(axis=1) - parted[:, :half].sum(axis=1)
        cost[np.arange(n - length + 1), np.arange(length, n + 1)] = off
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    begins = [0] * (n + 1)
    for end in range(least, n + 1):
        totals = best[:end] + cost[:end, end] + penalty
        begins[end] = int(np.argmin(totals))
        best[end] = totals[begins[end]]
    found = [begins[n]]
    while found[-1] > 0:
        found.append(begins[found[-1]])
    return found[::-1]


@dataclass(frozen=True, slots=True)
class Settled:
    """The nights of a series that are no outliers, by their indices, and the first of each segment among them."""

    nights: NDArray[np.intp]
    starts: tuple[int, ...]


def settle(values: Values, noise: float) -> Settled | None:
    """The series without outliers; a segment of outliers alone joins its neighbour. None: nothing is left."""
    starts = segment_starts(values / noise, math.log(len(values)))
    while True:
        parts = [values[one:two] for one, two in zip(starts, [*starts[1:], len(values)], strict=True)]
        near = [np.abs(part - np.median(part)) <= ODD * noise for part in parts]
        thin = next((i for i, kept in enumerate(near) if kept.sum() < max(LEAST, _MOSTLY * len(kept))), None)
        if thin is None:
            lengths = [int(kept.sum()) for kept in near]
            return Settled(np.flatnonzero(np.concatenate(near)), tuple(itertools.accumulate(lengths[:-1], initial=0)))
        if len(starts) == 1:
            return None
        del starts[max(thin, 1)]
