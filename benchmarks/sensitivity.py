"""Do runs find what their profiles promise, and nothing else? `python -m benchmarks.sensitivity [RUNS]`.

Simulated runs of each profile as a cluster has them, with the noise that was measured on clusters, looks and stops
included: each is written to a store, read back and judged there, as a real one is. One of three dataplanes is slower by
what the profile promises to find, the others are the same. A minute or two on two cores. Ends with 1 where a bound of
the error or of the power, by so many runs, is on the wrong side.

The same in the lab, with real traffic: `benchmarks.lab_sensitivity`.
"""

import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from os import sched_getaffinity
from typing import Final

from analysis.console.terminal import printing
from analysis.sql import database
from analysis.stats.comparison import Comparison
from analysis.stats.judgement import FAMILY_ERROR, MARGIN_RATIO, Plan
from analysis.store.store import Store
from analysis.summary.summary import summarise
from benchmarks.present_method import judged
from benchmarks.rounds_until_decided import measure
from benchmarks.scoring import Rate
from benchmarks.simulated_runs import QUOTED_METRICS, Scenario
from benchmarks.simulated_stores import write
from steps.catalogue import profiles
from steps.catalogue.environments import KUBERNETES
from steps.catalogue.options import defaults, method

RUNS: Final = 120
"""Of each profile."""

POWER: Final = 0.8
"""How often a profile promises to find its difference on a path."""

TOLERATED: Final = 0.08
"""The error of a run that must surely not be reached, as far as so many runs tell."""

BATCH: Final = 10
"""Runs in one store."""


def main(runs: int) -> int:
    """Print the figures of each profile; 1 if an aim is missed."""
    promising = [profile for profile in profiles.PROFILES if profile.finds_ratio is not None]
    with ProcessPoolExecutor(len(sched_getaffinity(0))) as pool:
        batches = [(profile.name, seed) for profile in promising for seed in range(1, 1 + -(-runs // BATCH))]
        scored = list(pool.map(judge_batch, batches))
    false, met = Rate(), []
    for profile in promising:
        own = [score for (name, _), score in zip(batches, scored, strict=True) if name == profile.name]
        found = sum((one.found for one in own), Rate())
        false = sum((one.false for one in own), false)
        ...
    return 0
