"""The error of a comparison that is looked at after each round, spread over the looks.

Whoever looks after each round and stops at the first clear difference finds one too often. A share of the error is
therefore spent at each look, in such a way that all looks together spend what one look would (Lan and DeMets,
"Discrete sequential boundaries for clinical trials", Biometrika 70, 1983; of Pocock's type, whose levels are nearly
equal). The interval of a look, taken at that look's level, holds whenever the run stops (Jennison and Turnbull,
"Group Sequential Methods", 2000, chapter 9). Pure.

The sum of the rounds' differences is a random walk. Its density among the runs that have not stopped is carried from
look to look by numerical integration (Armitage, McPherson and Rowe, J. R. Stat. Soc. A 132, 1969), with the noise taken
as known; the level that results is then used with the t distribution of the estimate's own degrees of freedom.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.domain import FIRST_LOOK

_NODES: Final = 64
"""Nodes of the integration come in multiples of it, two or more for each standard deviation of a round."""

_Values = npt.NDArray[np.float64]


def spent(error: float, rounds: int, most_rounds: int) -> float:
    """How much of the error may be spent until this round."""
    return error * math.log(1 + (math.e - 1) * min(rounds / most_rounds, 1.0))


def level_after(error: float, rounds: int, most_rounds: int) -> float:
    """The two-sided level at which a comparison with so many rounds is judged, in a run that looks after each.

    Before the first look and after the last it is the level of that look. `error`: over all looks together.
    `most_rounds`: after which the run ends in any case.
    """
    if most_rounds <= FIRST_LOOK:
        return error
    return _looks(error, most_rounds).level(min(max(rounds, FIRST_LOOK), most_rounds))


class _Looks:
    """The level of each look, found from look to look only as far as one was asked for: a plan may be very long."""

    def __init__(self, error: float, most_rounds: int) -> None:
        self._error, self._most_rounds, self._look = error, most_rounds, FIRST_LOOK
        first = spent(error, FIRST_LOOK, most_rounds)
        self._levels = {FIRST_LOOK: first}
        self._limit = float(-special.ndtri(first / 2)) * math.sqrt(FIRST_LOOK)
        self._nodes, self._weights = _nodes(self._limit)
        self._density = np.exp(-(self._nodes**2) / (2 * FIRST_LOOK)) / math.sqrt(2 * math.pi * FIRST_LOOK)

    def level(self, look: int) -> float:
        while self._look < look:
            self._advance()
        return self._levels[look]

    def _advance(self) -> None:
        """Go on to the next look."""
        self._look += 1
        before, until = (spent(self._error, look, self._most_rounds) for look in (self._look - 1, self._look))
        mass = self._density * self._weights
        self._limit = _crossing(until - before, mass, self._nodes, start=self._limit)
        self._levels[self._look] = float(2 * special.ndtr(-self._limit / math.sqrt(self._look)))
        inside, self._weights = _nodes(self._limit)
        steps = np.exp(-((inside[:, None] - self._nodes[None, :]) ** 2) / 2) / math.sqrt(2 * math.pi)
        self._density, self._nodes = steps @ mass, inside


_looks: Final = lru_cache(maxsize=256)(_Looks)


def _nodes(limit: float) -> tuple[_Values, _Values]:
    """Nodes and weights for integrals from -limit to limit."""
    nodes, weights = _legendre(_NODES * math.ceil(4 * limit / _NODES))
    return nodes * limit, weights * limit


_legendre: Final = lru_cache(maxsize=32)(np.polynomial.legendre.leggauss)


def _crossing(due: float, mass: _Values, nodes: _Values, start: float) -> float:
    """The limit that a walk, now distributed as `mass` over `nodes`, exceeds in size with the probability `due`."""
    limit = start
    for _ in range(60):
        beyond = float(mass @ (special.ndtr(nodes - limit) + special.ndtr(-limit - nodes)))
        slope = float(mass @ (np.exp(-((nodes - limit) ** 2) / 2) + np.exp(-((nodes + limit) ** 2) / 2)))
        step = math.log(beyond / due) * beyond / (slope / math.sqrt(2 * math.pi))  # Newton's, of the logarithm
        limit += step
        if abs(step) < 1e-10:  # noqa: PLR2004 - converged
            break
    return limit
