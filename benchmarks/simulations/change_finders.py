"""The two change detections that `benchmarks.simulations.changes` compares, by one interface."""

import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from analysis.domain import Cell
from analysis.errors import Unsupported
from analysis.metrics import BY_NAME
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats.change_points.night_noise import NightValues
from analysis.stats.nights.nightly import Night, Series
from analysis.stats.nights.regressions import find_changes


@dataclass(frozen=True, slots=True)
class DetectedChanges:
    """What was found in a series: nights of certain changes, and of all that is shown; whether it fails the night."""

    certain: tuple[int, ...]
    shown: tuple[int, ...]
    fails: bool = False


def as_series(values: NightValues, place: int) -> Series:
    """A series as the history has it: throughput relative to a baseline."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    cell = Cell(f"path-{place}", "iperf3", "tcp", "forward")
    made = tuple(Night(str(n), began + timedelta(days=n), float(value)) for n, value in enumerate(values))
    return Series(BY_NAME[THROUGHPUT], cell, cell.topology, "ebpf", "iptables", made)


def find_here(runs: Sequence[Sequence[NightValues]]) -> list[list[DetectedChanges]]:
    """What this project finds in each of the runs, on all cores."""
    with ProcessPoolExecutor() as pool:
        return list(pool.map(find_in_run, runs))


def find_in_run(run: Sequence[NightValues]) -> list[DetectedChanges]:
    """What this project finds in the series of one run."""
    changes = find_changes([as_series(values, place) for place, values in enumerate(run)]).changes
    found = []
    for place in range(len(run)):
        own = [change for change in changes if change.topology == f"path-{place}"]
        certain = tuple(int(change.run_id) for change in own if change.status != "suspected")
        shown = tuple(int(change.run_id) for change in own)
        found.append(DetectedChanges(certain, shown, any(change.status == "regression" for change in own)))
    return found


@dataclass(slots=True)
class Otava:
    """Apache Otava in an environment of its own. `cpu_s`: what it has used."""

    python: str
    cpu_s: float = 0.0

    def __call__(self, runs: Sequence[Sequence[NightValues]]) -> list[list[DetectedChanges]]:
        """What it finds.

        Raises:
            Unsupported: the environment has no Otava.
        """
        series = [np.exp(values).tolist() for run in runs for values in run]
        program = Path(__file__).parents[1] / "otava" / "find_points.py"
        done = subprocess.run(
            [self.python, str(program)], input=json.dumps(series), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unsupported(f"{self.python} does not run Apache Otava: {done.stderr.strip().splitlines()[-1]}")
        answer = json.loads(done.stdout)
        self.cpu_s += answer["cpu_s"]
        points = iter(answer["points"])
        return [[DetectedChanges(one := tuple(next(points)), one) for _ in run] for run in runs]
