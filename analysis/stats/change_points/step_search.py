"""The search for the nights that split a series into levels. Pure; `detection` has the method."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.stats.change_points import scan
from analysis.stats.change_points.night_noise import NightValues, Prior, mean_variances
from analysis.stats.change_points.partition import LEAST
from analysis.stats.estimates.intervals import two_sided_p

Counts = NDArray[np.intp]

RECENT: Final = 7
"""A step within so many nights from the last is news. It may fail the run, and older ones do not."""

OLDER_ERROR: Final = 2.0
"""Steps that are older fail nothing, and may be wrong so many times as often."""

UNDONE_ERROR: Final = 0.2
"""Changes that were undone again are rare, and there are many places for one: so many times as often."""

_LEAST_UNDONE: Final = 4 * LEAST


@dataclass(frozen=True, slots=True)
class Cut:
    """A step between levels. `index`: the first kept night of the new one; `p`: that of the search which found it.

    `chance`: how probable one as clear is without any step; `p` has been weighted by how often such steps may be wrong.
    """

    index: int
    p: float
    chance: float


@dataclass(frozen=True)
class KeptNights:
    """A series without outliers.

    `nights`: which nights of the series they are, of `total`; `starts`: a rough partition of them, which begins with 0;
    `correlation`: of consecutive nights, and `most_correlation`: its bound; `floor`: the least standard deviation to
    assume.
    """

    values: NightValues
    nights: NDArray[np.intp]
    starts: tuple[int, ...]
    total: int
    correlation: float
    most_correlation: float
    floor: float

    @functools.cached_property
    def mean_variances(self) -> NightValues:
        """By their number, the variance of a mean over nights, as a share of a night's."""
        return mean_variances(max(len(self.values), RECENT), self.correlation)

    def residual(self, starts: Sequence[int]) -> tuple[float, int]:
        """The variance of nights about the means of these segments, at least the floor's, and its freedom."""
        squares = 0.0
        for one, two in itertools.pairwise([*starts, len(self.values)]):
            squares += float(((self.values[one:two] - self.values[one:two].mean()) ** 2).sum())
        freedom = max(1, len(self.values) - len(starts))
        return max(squares / freedom, self.floor**2), freedom


def search(nights: KeptNights, prior: Prior, level: float, older: float = OLDER_ERROR) -> tuple[list[Cut], list[Cut]]:
    """The cuts that are significant at this level, in the order of time; and the best place for one in the last part.

    `level`: of recent steps; an older one may be wrong so many times as often.
    """
    cuts: list[Cut] = []
    while True:
        starts = (0, *(cut.index for cut in cuts))
        variance, freedom = nights.residual(starts)
        around = _Surroundings(nights, prior, variance * freedom, freedom, older)
        ends = list(itertools.pairwise([*starts, len(nights.values)]))
        single = [around.one_cut(*part) for part in ends]
        new = min(single, key=_p)
        if _p(new) >= level:
            new = min((around.two_cuts(*part) for part in ends), key=_p)
        if _p(new) >= level:
            return cuts, single[-1]
        cuts = sorted([*cuts, *new], key=lambda cut: cut.index)


def _p(cuts: Sequence[Cut]) -> float:
    return cuts[0].p if cuts else 1.0


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """A series that is cut already; `squares`: the sum of squares about its levels, with `freedom`.

    `older`: how many times as often an older step may be wrong.
    """

    nights: KeptNights
    prior: Prior
    squares: float
    freedom: int
    older: float

    def _statistics(
        self, difference: NightValues, inside: Counts, outside: Counts, cuts: int
    ) -> tuple[NightValues, float]:
        """The t statistics of these differences of means, were they levels, and the degrees of freedom."""
        explained = difference**2 * inside * outside / (inside + outside)
        own = max(self.freedom - cuts, 0)
        least = self.nights.floor**2
        variance, freedom = self.prior.moderate(np.maximum(self.squares - explained, own * least), own)
        of_means = self.nights.mean_variances
        share = of_means[inside] + of_means[outside]
        return np.abs(difference) / np.sqrt(share * np.maximum(variance, least)), freedom

    def one_cut(self, start: int, end: int) -> list[Cut]:
        """The best cut between these nights; recent and older ones are searched each for itself."""
        if end - start < 2 * LEAST:
            return []
        sums = np.concatenate([[0.0], np.cumsum(self.nights.values[start:end])])
        before = np.arange(LEAST, end - start - LEAST + 1, dtype=np.intp)
        after = end - start - before
        difference = (sums[-1] - sums[before]) / after - sums[before] / before
        statistic, freedom = self._statistics(difference, before, after, 1)
        recent = self.nights.total - self.nights.nights[start + before] <= RECENT
        found = []
        for chosen, weight in ((recent, 1.0), (~recent, self.older)):
            if chosen.any():
                best = int(np.where(chosen, statistic, -1.0).argmax())
                rate = scan.rates(before[chosen].astype(float), after[chosen].astype(float))
                p = scan.one_cut_p(two_sided_p(float(statistic[best]), freedom), rate)
                found.append(Cut(start + int(before[best]), p / weight, p))
        return [min(found, key=lambda cut: cut.p)]

    def two_cuts(self, start: int, end: int) -> list[Cut]:
        """The part between these nights that is furthest off the nights before and after it together."""
        count = end - start
        if count < _LEAST_UNDONE:
            return []
        sums = np.concatenate([[0.0], np.cumsum(self.nights.values[start:end])])
        span = np.arange(LEAST, count - 2 * LEAST + 1, dtype=np.intp)
        firsts, inside = span[:, None], span[None, :]
        ends = firsts + inside
        possible = ends <= count - LEAST
        within = sums[np.minimum(ends, count)] - sums[firsts]
        outside = count - inside
        difference = np.where(possible, within / inside - (sums[-1] - within) / outside, 0.0)
        statistic, freedom = self._statistics(difference, inside, outside, 2)
        place = np.unravel_index(int(statistic.argmax()), statistic.shape)
        first, length = int(firsts[place[0], 0]), int(inside[0, place[1]])
        rate = scan.rates(inside[0].astype(float), outside[0].astype(float))
        p = scan.two_cuts_p(two_sided_p(float(statistic[place]), freedom), rate, possible.sum(axis=0))
        return [Cut(start + at, p / UNDONE_ERROR, p) for at in (first, first + length)]
