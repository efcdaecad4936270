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
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
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


@lru_cache(maxsize=256)
def levels(error: float, most_rounds: int, first_look: int = FIRST_LOOK) -> Mapping[int, float]:
    """The two-sided level of each look, by its round.

    Args:
        error: of the comparison, over all looks together.
        most_rounds: after which the run ends in any case.
        first_look: the round of the first look; one follows after each later round.
    """
    if most_rounds <= first_look:
        return MappingProxyType({most_rounds: error})
    found = {first_look: spent(error, first_look, most_rounds)}
    limit = _limit(found[first_look]) * math.sqrt(first_look)
    nodes, weights = _nodes(limit)
    density = np.exp(-(nodes**2) / (2 * first_look)) / math.sqrt(2 * math.pi * first_look)
    for look in range(first_look + 1, most_rounds + 1):
        due = spent(error, look, most_rounds) - spent(error, look - 1, most_rounds)
        limit = _crossing(due, density * weights, nodes, start=limit)
        found[look] = float(2 * special.ndtr(-limit / math.sqrt(look)))
        inside, inside_weights = _nodes(limit)
        steps = np.exp(-((inside[:, None] - nodes[None, :]) ** 2) / 2) / math.sqrt(2 * math.pi)
        density = steps @ (density * weights)
        nodes, weights = inside, inside_weights
    return MappingProxyType(found)


def level_after(error: float, rounds: int, most_rounds: int) -> float:
    """The level at which a comparison with so many rounds is judged, in a run that looks after each."""
    found = levels(error, most_rounds)
    return found[min(max(rounds, min(found)), max(found))]


def _limit(level: float) -> float:
    return float(-special.ndtri(level / 2))


def _nodes(limit: float) -> tuple[_Values, _Values]:
    """Nodes and weights for integrals from -limit to limit."""
    nodes, weights = _legendre(_NODES * math.ceil(4 * limit / _NODES))
    return nodes * limit, weights * limit


@lru_cache(maxsize=32)
def _legendre(count: int) -> tuple[_Values, _Values]:
    return np.polynomial.legendre.leggauss(count)


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
