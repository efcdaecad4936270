"""A metric on one path: the common part of comparisons between dataplanes and of changes between nights."""

from dataclasses import dataclass, field
from typing import Any, Literal

from analysis import formatting
from analysis.domain import Cell
from analysis.metrics.metric import ComparedMetric, ValueScale, shown_unit
from analysis.metrics.throughput import THROUGHPUT


@dataclass(frozen=True, slots=True)
class PathMetric:
    """A metric, by its name, and the cell of a path. Subclasses are stored as JSON, with these fields first."""

    metric: str
    metric_title: str
    unit: str
    scale: ValueScale
    better: Literal["higher", "lower"]
    topology: str
    tool: str
    transport: str
    direction: str
    path: str
    services: int = field(default=0, kw_only=True)
    endpoints: int = field(default=1, kw_only=True)
    policies: int = field(default=0, kw_only=True)
    churn_per_s: float = field(default=0.0, kw_only=True)

    @property
    def cell(self) -> Cell:
        """The cell."""
        return Cell(*(getattr(self, name) for name in Cell._fields))

    @property
    def where(self) -> str:
        """The path, and the metric unless it is throughput."""
        return self.path if self.metric == THROUGHPUT else f"{self.path}, {self.metric_title}"

    @property
    def points(self) -> str:
        """The word that follows a difference in percentage points; empty for ratios."""
        return " points" if self.scale == "points" else ""

    def change_text(self, change: float, low: float, high: float) -> str:
        """A change with its interval: `+72 % [65, 80]`."""
        return f"{formatting.percent(change)}{self.points} {formatting.interval(low, high)}"

    def transition_text(self, before: float, after: float, against: str | None = None) -> str:
        """Two values in one unit: `3.02 → 5.21 Gbit/s`; or two differences to a baseline: `+41 % → +18 %`."""
        if against is not None:
            return f"{formatting.percent(before)} → {formatting.percent(after)}{self.points}"
        return formatting.transition(before, after, shown_unit(self.unit, self.scale))

    def finding_text(self, verdict: str, low: float, high: float, estimate: str, margin: float, mark: str) -> str:
        """What an interval shows: its change, and whether that is the same; its ends alone where it is undecided."""
        if verdict == "undecided":
            return f"undecided, {formatting.between(low, high)}{self.points}{mark}"
        same = f"the same within {formatting.percent(margin, sign=False)}{self.points}: "
        return f"{same if verdict == 'same' else ''}{estimate}"


def path_metric_fields(metric: ComparedMetric, cell: Cell, path: str) -> dict[str, Any]:
    """The fields of a `PathMetric`, by name."""
    named = {"metric": metric.name, "metric_title": metric.title, "unit": metric.unit, "scale": metric.scale}
    return named | {"better": metric.better, "path": path} | cell._asdict()
