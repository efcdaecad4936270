"""The types of a metric: a figure of a trial, its unit, its mean over a visit, and where it is shown."""

from dataclasses import dataclass
from typing import Literal

from analysis.flags import FigureKind
from analysis.formatting import SHARE

ValueScale = Literal["ratio", "points"]
"""How values are compared: by their logarithms, or as they are."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A metric in the report's table of trials.

    Attributes:
        header: without the unit.
        unit: of the figures in the table, such as `Gbit/s`; empty: as they are.
        place: columns are sorted by it.
    """

    header: str
    unit: str
    place: int


@dataclass(frozen=True, slots=True)
class BarChart:
    """A bar chart of a metric: a bar for each path and dataplane, with its interval.

    Its fields are those of `analysis.charts.Chart`, and `axis`: the label of the axis, without the unit.
    """

    name: str
    title: str
    reading: str
    empty: str
    axis: str
    place: int


@dataclass(frozen=True, slots=True)
class Export:
    """A key figure for monitoring outside the store: the mean over visits of one tool.

    Attributes:
        figure: its name among a run's key figures.
        gauge: its name in Prometheus, with the unit, after the benchmark's own prefix.
        description: a sentence, as Prometheus shows it.
        tool: whose figure it is.
        transport: over which.
    """

    figure: str
    gauge: str
    description: str
    tool: str = "iperf3"
    transport: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure of a trial, its mean over a visit, and where it is shown.

    Attributes:
        name: its column in the view `visit_means`, null where a visit does not have it.
        title: in sentences and headings.
        unit: of its values, SI; "1" where it has none.
        kind: the flags that void or mark figures of this kind apply to it.
        trial: a trial's value, in SQL over `trials`; empty: the column of its name.
        columns: the columns of `trials` that it is made of, which a flag that voids it sets to null; empty: that of its
            name, or with `trial` none. Fields of `nodes` are in `flags.NODE_FIELDS`.
        visit: a visit's value, in SQL over the visit's trials, with `{value}` for a trial's.
        needs: the column that a tool must fill for its trials to have this metric; empty: the first that it is made of.
        table: its column in the report's table of trials, if it has one.
        chart: its own chart, if it has one.
        export: the key figure made of it, if any.
    """

    name: str
    title: str
    unit: str
    kind: FigureKind
    trial: str = ""
    columns: tuple[str, ...] = ()
    visit: str = "avg({value})"
    needs: str = ""
    table: TableColumn | None = None
    chart: BarChart | None = None
    export: Export | None = None

    @property
    def trial_sql(self) -> str:
        """A trial's value, in SQL over `trials`."""
        return self.trial or self.name

    @property
    def visit_sql(self) -> str:
        """A visit's value, in SQL over the visit's trials."""
        return self.visit.replace("{value}", self.trial_sql)

    @property
    def shown_unit(self) -> str:
        """The unit of its values in tables and sentences."""
        return self.unit

    @property
    def made_of(self) -> tuple[str, ...]:
        """The columns of `trials` whose values a flag that voids it sets to null."""
        return self.columns or (() if self.trial else (self.name,))

    @property
    def needed_column(self) -> str:
        """The column of `trials` that a tool must fill for its trials to have this metric."""
        return self.needs or self.made_of[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric(Metric):
    """A metric by which dataplanes are compared with the baseline, and nights with earlier ones.

    Attributes:
        better: which is wanted.
        scale: ratio (compared by logarithms, written in per cent) or points (a share, compared as it is, written in
            percentage points).
        in_lab: whether it is compared in the lab; if not, it is only shown there.
        leads: whether it is the main metric of its paths: in the headline, the first chart, and first in the terminal.
        resolution: the standard deviation of a round's difference below which equal figures are a matter of rounding: a
            share of the figure, or points.
        curve: the words between a scale and its figures, as in "From 0 to 10 000 Services a new connection takes 39 →
            912 µs"; empty: it has no curve.
        curve_leads: whether that is shown among the first, as those of leading metrics are.
        beside: the term by which the terminal shows it beside the main metric of the same column; empty: only the
            report shows it.
    """

    better: Literal["higher", "lower"]
    scale: ValueScale = "ratio"
    in_lab: bool = True
    leads: bool = False
    resolution: float = 1e-3
    beside: str = ""
    curve: str = ""
    curve_leads: bool = False

    @property
    def family(self) -> str:
        """The first page quotes the leading metrics and those beside them; every other is a family of its own."""
        return "" if self.leads or self.beside else self.name

    @property
    def has_first_curve(self) -> bool:
        """Whether its curve is shown among the first."""
        return self.leads or self.curve_leads

    @property
    def shown_unit(self) -> str:
        """The unit of its values in tables and sentences."""
        return shown_unit(self.unit, self.scale)


def shown_unit(unit: str, scale: ValueScale) -> str:
    """The unit of values on a scale: shares are in per cent."""
    return SHARE if scale == "points" else unit
