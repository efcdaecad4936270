"""One figure night by night: the values of which changes and levels are made. Pure."""

import math
import statistics
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from analysis.domain import Cell
from analysis.metrics.metric import ComparedMetric
from analysis.stats.change_points.detection import NightSeries
from analysis.stats.change_points.night_noise import FLOOR
from analysis.stats.estimates.intervals import as_share


@dataclass(frozen=True, slots=True)
class Night:
    """One run's value in one series: a logarithm, or points. `error`: its standard error over visits, if known.

    `flagged`: whether flagged trials are in the value, or were left out of it.
    """

    run_id: str
    began_at: datetime | None
    value: float
    error: float | None = None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One figure night by night, the run's own last. `against`: the baseline to which it is relative, if to any.

    For metrics on a ratio scale the values are logarithms: of the figure, or of its ratio to the baseline's that night.
    """

    metric: ComparedMetric
    cell: Cell
    path: str
    dataplane: str
    against: str | None
    nights: tuple[Night, ...]

    @property
    def floor(self) -> float:
        """The least noise to assume: the median over nights of the standard error over a night's visits."""
        known = [night.error for night in self.nights if night.error is not None]
        return max(FLOOR, statistics.median(known) if known else 0.0)

    @property
    def searched(self) -> NightSeries:
        """Its values; their noise is compared with that of the same metric's other series of this reading."""
        values = np.array([night.value for night in self.nights])
        return NightSeries(values, self.floor, (self.metric.name, self.against is None))

    def shown(self, difference: float) -> float:
        """A difference of values as a reader sees it: a share, or points."""
        return as_share(difference) if self.metric.scale == "ratio" else difference

    def figure(self, value: float) -> float:
        """A value as a reader sees it: in the metric's unit, or as the difference to the baseline."""
        if self.against is not None or self.metric.scale == "points":
            return self.shown(value)
        return math.exp(value)
