"""One side of a comparison of runs: its figures as they are compared, run by run and round by round. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import cast

from analysis.domain import Cell
from analysis.flags import NO_DOUBT, FlagEffect
from analysis.metrics.metric import ComparedMetric
from analysis.stats.estimates.differences import Values
from analysis.stats.estimates.intervals import as_share
from analysis.stats.estimates.moderation import Key
from analysis.stats.verdicts.judgement import CellOfArm

ALONE = ""
"""In place of a baseline's name, for a figure itself."""

Scatter = Mapping[Key, tuple[float, float]]
"""The variance of a night about its level, with its degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Nights:
    """A metric's figures on one side.

    Attributes:
        runs: of each run its visit means in the metric's unit, by round: (cell, dataplane) -> round -> value.
        doubts: the effect of flags on them: (cell, dataplane) -> effect.
        scatter: how far nights of this environment and method scatter, where that is known.
    """

    runs: Sequence[Mapping[CellOfArm, Values]]
    doubts: Mapping[CellOfArm, FlagEffect] = field(default_factory=dict)
    scatter: Scatter = field(default_factory=dict)


class Side:
    """The figures of one side, on the scale on which they are compared.

    `values`: of each reading the values of each run that has it, one a round.
    `places`: the cells and dataplanes that have a figure at all.
    """

    def __init__(self, metric: ComparedMetric, nights: Nights, keys: Iterable[Key]) -> None:
        self._metric, self._nights = metric, nights
        self.scatter = nights.scatter
        self.places = {place for run in nights.runs for place, values in run.items() if values}
        self.values: dict[Key, list[list[float]]] = {}
        for key in keys:
            if found := [values for run in nights.runs if (values := _reading(metric, run, key))]:
                self.values[key] = found

    def means(self, key: Key) -> list[float]:
        """Of each run the mean over its rounds."""
        return [fmean(values) for values in self.values[key]]

    def count(self, key: Key) -> int:
        """How many visits, or rounds, the figure rests on."""
        return sum(map(len, self.values.get(key, ())))

    def figure(self, key: Key) -> float | None:
        """The figure as a reader sees it: in the metric's unit, or as the difference to the baseline."""
        if key not in self.values:
            return None
        value = fmean(self.means(key))
        if self._metric.scale == "points":
            return value
        return math.exp(value) if key[1][0] == ALONE else as_share(value)

    def doubt(self, cell: Cell, dataplane: str) -> FlagEffect:
        """The effect of flags on a dataplane's figure."""
        return self._nights.doubts.get((cell, dataplane), NO_DOUBT)

    def lacks(self, key: Key) -> str | None:
        """Why there is no value, as a clause; None where there is one."""
        cell, (against, dataplane) = cell_of(key), key[1]
        if key in self.values:
            return None
        missing = [name for name in (against, dataplane) if name and (cell, name) not in self.places]
        if missing:
            kind = "usable" if self.doubt(cell, missing[0]).left_out else "measured"
            return f"{missing[0]} has no {kind} visit here"
        values = [v for run in self._nights.runs for name in key[1] if name for v in run.get((cell, name), {}).values()]
        if self._metric.scale == "ratio" and min(values) <= 0:
            return "a figure of zero has no ratio"
        return f"{against} and {dataplane} were not measured in the same round"


def cell_of(key: Key) -> Cell:
    """Of a contrast, whose place is a cell; `estimates.moderation` takes any."""
    return cast("Cell", key[0])


def _reading(metric: ComparedMetric, run: Mapping[CellOfArm, Values], key: Key) -> list[float]:
    """The values of a run, one a round: logarithms, or points. None at all where a figure is not above zero."""
    cell, (against, dataplane) = cell_of(key), key[1]
    own, base = run.get((cell, dataplane), {}), run.get((cell, against), {})
    if metric.scale == "ratio":
        if min([*own.values(), *base.values()], default=1.0) <= 0:
            return []
        own, base = ({block: math.log(value) for block, value in side.items()} for side in (own, base))
    if against == ALONE:
        return list(own.values())
    return [value - base[block] for block, value in own.items() if block in base]
