"""Runs that never happened, with a known truth: what the verdicts are tested on.

A visit's figure is log-normal. Its noise is independent from cell to cell, but for a share that all cells of a visit
have in common, as pods on a busy core do. Rounds drift, dataplanes and cells may be unlike in their noise, and a visit
may be bad or missing.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.domain import Cell
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats.estimates.differences import Values
from analysis.stats.verdicts.judgement import CellOfArm

Run = Mapping[str, Mapping[CellOfArm, Values]]
"""Metric -> cell and dataplane -> run and round -> the visit's figure."""


@dataclass(frozen=True, slots=True)
class JudgedComparison:
    """What a method says of one comparison: its interval, as logarithms, and whether it calls it a difference."""

    cell: Cell
    dataplane: str
    against: str
    low: float
    high: float
    found: bool


_TOPOLOGIES: Final = ("pod-to-service", "pod-to-pod", "external-to-nodeport", "node-to-node", "pod-to-pod-same-node")
_CONNECT: Final = Cell("pod-to-service", "tcp_connect", "tcp", "forward")
_CELLS: Final = tuple(
    Cell(topology, "iperf3", transport, "forward") for transport in ("tcp", "udp") for topology in _TOPOLOGIES
)
QUOTED_METRICS: Final = (THROUGHPUT, "cpu_s_per_gbit", "connect_p50_s")
"""Those that the first page quotes."""

BASELINE: Final = "arm-1"
BAD_VISIT: Final = 0.7
"""The figures of a bad visit, as a share of what they would have been."""


def paths(count: int) -> tuple[Cell, ...]:
    """So many cells that have a throughput, and one in which connections are timed."""
    return (*_CELLS[:count], _CONNECT)


@dataclass(frozen=True, slots=True)
class Scenario:
    """How runs are made up.

    Attributes:
        dataplanes: how many there are, the baseline included.
        metrics: by which dataplanes are compared; their noise is alike and independent.
        sd: the standard deviation of a visit's figure, as a share of it.
        effects: how much the dataplanes after the baseline differ from it, as shares; what is not listed is equal.
        arm_noise: the noise of each dataplane, in multiples of `sd`; 1 where it is not listed.
        cell_noise: how unlike cells are: the standard deviation of the logarithm of their noise.
        drift: the standard deviation of a round's level in a cell, as a share.
        common: the share of a visit's variance that all its cells have in common.
        bad: how many of the visits are bad.
        missing: how many of the visits are missing.
    """

    name: str = ""
    rounds: int = 4
    dataplanes: int = 4
    cells: tuple[Cell, ...] = paths(7)
    metrics: tuple[str, ...] = (THROUGHPUT,)
    sd: float = 0.04
    effects: tuple[float, ...] = ()
    arm_noise: tuple[float, ...] = ()
    cell_noise: float = 0.0
    drift: float = 0.03
    common: float = 0.0
    bad: float = 0.0
    missing: float = 0.0

    @property
    def arms(self) -> tuple[str, ...]:
        """The dataplanes' names, the baseline first."""
        return tuple(f"arm-{number}" for number in range(1, self.dataplanes + 1))

    def cells_of(self, metric: str) -> tuple[Cell, ...]:
        """The cells that have a metric."""
        connects = metric.startswith("connect")
        return tuple(cell for cell in self.cells if (cell.tool == _CONNECT.tool) == connects)

    def truth(self, dataplane: str, against: str = BASELINE) -> float:
        """The true difference between two dataplanes, as a logarithm."""
        levels = dict(zip(self.arms[1:], self.effects, strict=False))
        return math.log1p(levels.get(dataplane, 0.0)) - math.log1p(levels.get(against, 0.0))

    def runs(self, count: int, seed: int = 1) -> Iterator[Run]:
        """So many runs, the same for the same seed."""
        dice = np.random.default_rng(seed)
        for number in range(count):
            yield self.run(dice, f"run-{number}")

    def run(self, dice: np.random.Generator, run_id: str) -> Run:
        """One run."""
        size = (self.rounds, self.dataplanes)
        figures = math.log(BAD_VISIT) * (dice.random(size) < self.bad) + [self.truth(arm) for arm in self.arms]
        shared, there = dice.normal(size=size), dice.random(size) >= self.missing
        run: dict[str, dict[CellOfArm, Values]] = {}
        for metric in self.metrics:
            cells = self.cells_of(metric)
            values = np.exp(figures + self._noise(dice, len(cells), shared))
            run[metric] = {
                (cell, arm): {(run_id, r + 1): float(values[c, r, a]) for r in range(self.rounds) if there[r, a]}
                for c, cell in enumerate(cells)
                for a, arm in enumerate(self.arms)
            }
        return run

    def _noise(self, dice: np.random.Generator, cells: int, shared: np.ndarray) -> np.ndarray:
        arms = np.ones(self.dataplanes)
        arms[: len(self.arm_noise)] = self.arm_noise
        sd = self.sd * arms * np.exp(dice.normal(0, self.cell_noise, (cells, 1, 1)))
        own = dice.normal(size=(cells, *shared.shape))
        drift = dice.normal(0, self.drift, (cells, self.rounds, 1))
        return drift + sd * (math.sqrt(1 - self.common) * own + math.sqrt(self.common) * shared)
