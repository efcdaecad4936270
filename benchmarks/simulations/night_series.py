"""Series of nights with a known truth: runs of 56 series, some of which change."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from analysis.stats.change_points.night_noise import NightValues

NIGHTS: Final = 90
SERIES: Final = 56
CHANGED: Final = 8
"""So many of a run's series change: the paths of one dataplane."""

FRESH: Final = 16
"""So many change in the same night, where each night is looked at: more of them make the figures more precise."""

NOISE: Final = 0.03
_AT_LEAST: Final = 15
"""Nights before and after a step in a whole history."""

_BAD_NIGHT_EACH: Final = 9
_BAD: Final = (0.1, 0.4)
"""What a bad night loses, between these, as logarithms."""


@dataclass(frozen=True, slots=True)
class SeriesKind:
    """How nights scatter.

    `correlation`: of consecutive nights; `bad_nights`: one night in nine is bad, and neither the one before nor the one
    after; `unlike`: the noise of a series is 1.5 to 6 % instead of 3 %, and not the same in all.
    """

    name: str
    correlation: float = 0.0
    bad_nights: bool = False
    unlike: bool = False


PLAIN: Final = SeriesKind("noise 3 %")
LONE: Final = SeriesKind("lone bad nights", bad_nights=True)
ALIKE: Final = SeriesKind("correlation 0.5", correlation=0.5)
UNLIKE: Final = SeriesKind("noise 1.5 to 6 %", unlike=True)
KINDS: Final = (PLAIN, LONE, ALIKE, UNLIKE)


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """The series of a run, as logarithms; the first ones step down at these nights."""

    series: tuple[NightValues, ...]
    steps: tuple[int, ...] = ()

    def until(self, nights: int) -> "SimulatedRun":
        """As it was after so many nights."""
        return SimulatedRun(tuple(one[:nights] for one in self.series), self.steps)


def nights(dice: Generator, kind: SeriesKind, count: int = NIGHTS) -> NightValues:
    """One series without any change."""
    noise = NOISE * float(np.exp(dice.uniform(-math.log(2), math.log(2)))) if kind.unlike else NOISE
    values = dice.normal(0, noise, count)
    for night in range(1, count):
        own = math.sqrt(1 - kind.correlation**2)
        values[night] = kind.correlation * values[night - 1] + own * values[night]
    if kind.bad_nights:
        for first in range(0, count - 1, _BAD_NIGHT_EACH):
            last = min(first + _BAD_NIGHT_EACH, count) - 2
            values[int(dice.integers(first, max(last, first + 1)))] -= dice.uniform(*_BAD)
    return values


def stable_run(dice: Generator, kind: SeriesKind, count: int = NIGHTS) -> SimulatedRun:
    return SimulatedRun(tuple(nights(dice, kind, count) for _ in range(SERIES)))


def stepped_run(dice: Generator, kind: SeriesKind, loss: float) -> SimulatedRun:
    """A whole history; each of the first series loses this share at a random night of its own."""
    run = stable_run(dice, kind)
    steps = tuple(int(at) for at in dice.integers(_AT_LEAST, NIGHTS - _AT_LEAST, CHANGED))
    for one, at in zip(run.series, steps, strict=False):
        one[at:] += math.log(1 - loss)
    return SimulatedRun(run.series, steps)


def fresh_run(dice: Generator, loss: float, before: int, after: int) -> SimulatedRun:
    """A history whose first series lose this share after so many nights, all in the same night."""
    run = stable_run(dice, PLAIN, before + after)
    for one in run.series[:FRESH]:
        one[before:] += math.log(1 - loss)
    return SimulatedRun(run.series, (before,) * FRESH)


def declining_run(dice: Generator, loss_a_night: float, before: int, after: int) -> SimulatedRun:
    """A history whose first series lose so much a night, from a night on."""
    run = stable_run(dice, PLAIN, before + after)
    for one in run.series[:FRESH]:
        one[before:] -= loss_a_night * np.arange(1, after + 1)
    return SimulatedRun(run.series, (before,) * FRESH)
