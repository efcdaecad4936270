"""The same series through this change detection and through Apache Otava's.

`python -m benchmarks.simulations.changes PYTHON`. PYTHON is that of an environment with Otava; `make bench-changes`
makes one. Prints tables for docs/changes.md, and ends with 1 where Otava finds more, or where the error rates that are
promised there do not hold. Two minutes.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from analysis.console.terminal import printing
from analysis.stats.estimates.intervals import SIGNIFICANCE
from analysis.stats.nights.level_since import LevelSince
from analysis.stats.nights.regressions import find_changes
from benchmarks.simulations.change_finders import DetectedChanges, Otava, as_series, find_here, find_in_run
from benchmarks.simulations.night_series import (
    ALIKE,
    CHANGED,
    FRESH,
    KINDS,
    LONE,
    NIGHTS,
    PLAIN,
    SERIES,
    UNLIKE,
    SimulatedRun,
    declining_run,
    fresh_run,
    stable_run,
    stepped_run,
)
from benchmarks.simulations.scoring import Rate, print_table

RUNS: Final = 30
LEVEL_RUNS: Final = 4
"""So many times as many for the intervals of levels, where a share of .95 is at stake."""

NEAR: Final = 2
"""A point so many nights from the true one is right."""

HISTORIES: Final = (5, 8, 12, 20)
MOST_NIGHTS: Final = 20
DECLINE: Final = 0.003
DECLINE_NIGHTS: Final = 60
STABLE_BEFORE: Final = 30
MOST_CPU_S: Final = 0.5
MOST_FALSE: Final = 0.02
"""False points per series."""

SIGMAS: Final = 2.0
"""A share is below another where the difference exceeds so many standard errors."""


def main(python: str, count: int = RUNS) -> int:
    otava = Otava(python)
    missed = [*_history(otava, count), *_silence(otava, count), *_nightly(otava, count), *_decline(otava, count)]
    missed += [*_levels(count), *_time(otava)]
    for sentence in missed:
        print(f"\n{sentence}")
    return bool(missed)


def _dice(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _history(otava: Otava, count: int) -> Iterable[str]:
    """Steps somewhere in a whole history."""
    print(
        f"\nSteps in {NIGHTS} nights, {CHANGED} of {SERIES} series of a run: precision / recall, within {NEAR} nights\n"
    )
    lines, missed = [], []
    cases = [(PLAIN, 0.03), (PLAIN, 0.05), (PLAIN, 0.1), (LONE, 0.1), (ALIKE, 0.1), (UNLIKE, 0.05)]
    for place, (kind, loss) in enumerate(cases):
        dice = _dice(1, place)
        runs = [stepped_run(dice, kind, loss) for _ in range(count)]
        name = f"−{loss:.0%}, {kind.name}".replace("%,", " %,", 1)
        here = [found[:CHANGED] for found in find_here([run.series for run in runs])]
        there = otava([run.series[:CHANGED] for run in runs])
        scores = [precision_recall(runs, each) for each in (here, there)]
        lines.append([name, *(f"{_share(precision)} / {_share(recall)}" for precision, recall in scores)])
        missed += _fewer(name, scores[0][1], scores[1][1])
    print_table(["step", "here", "Otava"], lines)
    return missed


def precision_recall(runs: Sequence[SimulatedRun], found: Sequence[Sequence[DetectedChanges]]) -> tuple[Rate, Rate]:
    precision, recall = Rate(), Rate()
    for run, each in zip(runs, found, strict=True):
        for at, one in zip(run.steps, each, strict=True):
            right = any(abs(point - at) <= NEAR for point in one.certain)
            recall.add(happened=right)
            precision += Rate(int(right), len(one.certain))
    return precision, recall


def _silence(otava: Otava, count: int) -> Iterable[str]:
    """Series without any change."""
    print("\nNo change at all: false points per series, and runs that tell one, suspect one, or fail\n")
    lines, missed = [], []
    for place, kind in enumerate(KINDS):
        dice = _dice(2, place)
        runs = [stable_run(dice, kind).series for _ in range(count)]
        here, there = find_here(runs), otava(runs)
        points = [sum(len(one.certain) for run in each for one in run) / count / SERIES for each in (here, there)]
        shown = [_runs(each, lambda one: bool(one.certain)) for each in (here, there)]
        suspected = _runs(here, lambda one: len(one.shown) > len(one.certain))
        fails = _runs(here, lambda one: one.fails)
        figures = [f"{points[0]:.3f}", f"{points[1]:.3f}", *map(_share, (shown[0], shown[1], suspected, fails))]
        lines.append([kind.name, *figures])
        if points[0] > MOST_FALSE:
            missed.append(f"{kind.name}: {points[0]:.3f} false points per series, more than {MOST_FALSE}.")
    print_table(["nights", "points here", "Otava", "runs that tell one here", "Otava", "suspect", "fail"], lines)
    return missed


def _runs(found: Sequence[Sequence[DetectedChanges]], has: Callable[[DetectedChanges], bool]) -> Rate:
    return Rate(sum(any(has(one) for one in run) for run in found), len(found))


def _nightly(otava: Otava, count: int) -> Iterable[str]:
    """A step that is looked for every night since it came."""
    print("\nThe night a step comes, and those after it: found, here certainly / at least suspected\n")
    lines, missed = [], []
    cases = [(0.1, before, 3) for before in HISTORIES] + [(0.1, before, 1) for before in (20, 45)]
    for loss, before, within in cases:
        here, there = _delays(otava, max(1, count // 2), loss, before, within)
        name = f"−{loss * 100:.0f} % by its night {within}, {before} nights before"
        certain, shown, theirs = (Rate(sum(n <= within for n in each), len(each)) for each in (*here, there))
        lines.append([name, f"{_share(certain)} / {_share(shown)}", _share(theirs)])
        missed += _fewer(name, certain if within > 1 else shown, theirs)
    for before in (STABLE_BEFORE, 2 * STABLE_BEFORE):
        here, there = _delays(otava, max(1, count // 4), 0.05, before, MOST_NIGHTS)
        medians = [statistics.median(each) for each in (*here, there)]
        name = f"−5 %, {before} nights before: nights until found, median"
        lines.append([name, f"{medians[0]:.0f} / {medians[1]:.0f}", f"{medians[2]:.0f}"])
        if medians[1] > medians[2]:
            missed.append(f"{name}: {medians[1]:.0f}, Otava {medians[2]:.0f}.")
    print_table(["step", "here", "Otava"], lines)
    return missed


def _delays(
    otava: Otava, count: int, loss: float, before: int, most: int
) -> tuple[tuple[list[int], list[int]], list[int]]:
    """In which night each step is first found, one more than the most if it is not: here certain, shown, and there."""
    dice = _dice(3, before, most)
    runs = [fresh_run(dice, loss, before, most) for _ in range(count)]
    certain, shown, there = ([[most + 1] * FRESH for _ in runs] for _ in range(3))
    for night in range(most, 0, -1):
        cut = [run.until(before + night).series for run in runs]
        theirs = otava([series[:FRESH] for series in cut])
        for place, (mine, other) in enumerate(zip(find_here(cut), theirs, strict=True)):
            for i in range(FRESH):
                for first, points in (
                    (certain, mine[i].certain),
                    (shown, mine[i].shown),
                    (there, other[i].certain),
                ):
                    if any(abs(point - before) <= NEAR for point in points):
                        first[place][i] = night
    flat = [[night for run in each for night in run] for each in (certain, shown, there)]
    return (flat[0], flat[1]), flat[2]


def _decline(otava: Otava, count: int) -> Iterable[str]:
    """A loss of a little each night."""
    print(
        f"\n−{DECLINE * 100:.1f} % a night after {STABLE_BEFORE} stable ones: nights until a change is found, median\n"
    )
    dice = _dice(4)
    runs = [declining_run(dice, DECLINE, STABLE_BEFORE, DECLINE_NIGHTS) for _ in range(max(1, count // 8))]
    first: dict[str, list[int]] = {name: [DECLINE_NIGHTS + 1] * len(runs) * FRESH for name in ("fails", "there")}
    failing = [0] * len(runs) * FRESH
    for night in range(DECLINE_NIGHTS, 0, -1):
        cut = [run.until(STABLE_BEFORE + night).series for run in runs]
        here = [one for found in find_here(cut) for one in found[:FRESH]]
        there = [one for found in otava([series[:FRESH] for series in cut]) for one in found]
        for i, (mine, theirs) in enumerate(zip(here, there, strict=True)):
            failing[i] += mine.fails
            if mine.fails:
                first["fails"][i] = night
            if any(point >= STABLE_BEFORE for point in theirs.certain):
                first["there"][i] = night
    medians = [statistics.median(each) for each in first.values()]
    found = Rate(sum(night <= DECLINE_NIGHTS for night in first["fails"]), len(failing))
    print_table(
        [
            "",
            "here: fails",
            f"found within {DECLINE_NIGHTS} nights",
            "nights that fail, of 60, median",
            "Otava: any point",
        ],
        [["decline", f"{medians[0]:.0f}", _share(found), f"{statistics.median(failing):.0f}", f"{medians[1]:.0f}"]],
    )
    return [] if medians[0] <= DECLINE_NIGHTS else ["A slow decline is not found."]


def _levels(count: int) -> Iterable[str]:
    """Whether the level since the last change is what it says, over all series of a run."""
    print("\nThe level since the last change: intervals that hold the truth, all of a run together\n")
    lines, missed = [], []
    for place, (kind, loss) in enumerate([(PLAIN, 0.0), (PLAIN, 0.1), (LONE, 0.1), (ALIKE, 0.0), (UNLIKE, 0.1)]):
        dice = _dice(5, place)
        single, together = Rate(), Rate()
        for _ in range(LEVEL_RUNS * count):
            run = stepped_run(dice, kind, loss)
            levels = find_changes([as_series(values, i) for i, values in enumerate(run.series)]).levels
            held = [_holds(level, -loss if i < CHANGED else 0.0) for i, level in enumerate(levels)]
            single += Rate(sum(held), len(held))
            together.add(happened=all(held))
        lines.append(
            [f"{kind.name}, {'a step of 10 % in some' if loss else 'no step'}", _share(single), _share(together)]
        )
        if together.upper < 1 - SIGNIFICANCE:
            missed.append(f"{kind.name}: all levels of a run hold in {together.count} of {together.of} runs.")
    print_table(["nights", "one", "all of a run"], lines)
    return missed


def _holds(level: LevelSince, truth: float) -> bool:
    return level.low <= truth <= level.high


def _time(otava: Otava) -> Iterable[str]:
    run = stable_run(_dice(6), PLAIN).series
    used = []
    for _ in range(3):
        began = time.process_time()
        find_in_run(run)
        used.append(time.process_time() - began)
    before = otava.cpu_s
    otava([run])
    print(f"\nCPU time for {NIGHTS} nights and {SERIES} series: {min(used):.2f} s; Otava {otava.cpu_s - before:.2f} s.")
    return [f"A run's history takes {min(used):.2f} s of CPU, more than {MOST_CPU_S} s."] * (min(used) > MOST_CPU_S)


def _fewer(name: str, here: Rate, there: Rate) -> list[str]:
    """A sentence where Otava surely finds more."""
    a, b = here.count / here.of, there.count / there.of
    error = ((a * (1 - a) + b * (1 - b)) / here.of) ** 0.5
    return [f"{name}: {a:.2f} found, by Otava {b:.2f}."] if b - a > SIGMAS * error else []


def _share(rate: Rate) -> str:
    return "–" if rate.share is None else f"{rate.share:.2f}"


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit("Give the Python of an environment with Apache Otava, as `make bench-changes` does.")
    sys.exit(printing(lambda: main(sys.argv[1], *map(int, sys.argv[2:]))))
