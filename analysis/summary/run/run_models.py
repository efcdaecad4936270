"""The models of the document of a run, from which its published schema is made."""

from datetime import datetime
from typing import Literal

from analysis.console.documents import DocumentModel, Item
from analysis.stats.nights.regressions import ChangeStatus
from analysis.stats.verdicts.comparison import Verdict
from analysis.summary.figures.standings import Standing
from analysis.summary.figures.traffic import Claim
from analysis.summary.run.summary import RunOutcome


class MeasuredDataplane(Item):
    """A dataplane that was measured."""

    name: str
    title: str


class StandingItem(Item):
    """A dataplane on a kind of traffic."""

    dataplane: str
    standing: Standing
    """By the leading metric, against the best of the row."""
    claim: Claim
    """What may be said of it over all metrics of the table; undecided where not every dataplane was measured."""
    texts: tuple[str, ...]
    """As the report has it: a line for each metric that must be named."""


class KindItem(Item):
    """A kind of traffic, and how each dataplane stands."""

    kind: str
    path: str
    topology: str
    tool: str
    transport: str
    direction: str
    dataplanes: tuple[StandingItem, ...]


class CostItem(Item):
    """What the move to each dataplane costs, by the dataplane's name."""

    cost: str
    texts: dict[str, str]


class AnswerItem(Item):
    """The table of the answer, and how sure it is."""

    kinds: tuple[KindItem, ...]
    costs: tuple[CostItem, ...]
    how_sure: str
    undecided: int
    """How many comparisons leave a figure of the table undecided."""
    advice: str
    """What would settle them; empty where nothing is undecided."""
    command: str
    """That measures more rounds; empty where none would help."""
    notes: tuple[str, ...]
    scale: str
    """The scale that the table is of, the run's largest; empty in a run of one scale."""


class PathItem(Item):
    """What a figure is of."""

    metric: str
    """By its name in docs/reference.md."""
    metric_title: str
    unit: str
    """Of the two values, SI."""
    scale: Literal["ratio", "points"]
    """ratio: `change` 0.72 is 72 % more. points: `change` is a difference in `unit`."""
    better: Literal["higher", "lower"]
    topology: str
    tool: str
    transport: str
    direction: str
    services: int
    """Unused Services while it was measured."""
    endpoints: int
    """Of each of them."""
    policies: int
    """NetworkPolicies on the measured pods that match nothing."""
    churn_per_s: float
    """Endpoints changed per second."""
    path: str
    """As the report names it."""


class ComparisonItem(PathItem):
    """A dataplane against another. A figure that is not known is null."""

    dataplane: str
    baseline: str
    against_baseline: bool
    """Whether `baseline` is the run's, with which all others are compared."""
    baseline_value: float | None
    """The mean over the rounds that measured both; without a difference over all visits. So is `value`."""
    value: float | None
    change: float | None
    low: float | None
    """The lower end of the interval of `change`; null: there is no interval, or no such end."""
    high: float | None
    verdict: Verdict
    """higher, lower: the interval leaves zero out. same: it lies within the margin."""
    margin_ratio: float
    """How much counts as the same, on the scale of `change`."""
    p_adjusted: float | None
    rounds: int
    """In how many both were measured."""
    flagged: bool
    """Whether trials with flags are in the figures or were left out of them."""
    text: str


class ChangeItem(PathItem):
    """A figure that is at another level than in the nights before."""

    dataplane: str
    against: str | None
    """The baseline to which the levels are relative; null: they are absolute, in `unit`."""
    status: ChangeStatus
    run_id: str
    """The first night of the new level."""
    began_at: datetime | None
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    flagged: bool
    text: str


class CurvePointItem(Item):
    """A figure at one scale of a curve. A figure that is not known is null."""

    at: float
    """How much of the factor."""
    value: float | None
    change: float | None
    """From the first point; the interval is its own."""
    low: float | None
    high: float | None
    visits: int
    """In how many both were measured."""
    flagged: bool


class CurveItem(PathItem):
    """A figure of one dataplane along one factor of the scale; the scale beside its path is that of the first point."""

    dataplane: str
    factor: str
    """The field of the scale that varies."""
    fixed: str
    """The other factors that vary in the run, in words."""
    margin_ratio: float
    points: tuple[CurvePointItem, ...]
    since: float | None
    """The smallest value of the factor from which on all surely differ from the first point; null: there is none."""
    until: float | None
    """The largest one below it up to which all are the same within the margin."""
    text: str


class ProgrammingItem(Item):
    """The times until changes of a kind worked, of all visits of a dataplane at a scale. Null: not known."""

    path: str
    """The kind of change and the scale, as the report names them."""
    dataplane: str
    visits: int
    observed: int
    """Changes that worked, each counted on each measured node."""
    failed: int
    """Those that never did, which are later than all others."""
    p50_s: float | None
    p99_s: float | None
    """Null below 100 observations."""
    worst_s: float | None
    flagged: bool
    """Whether trials with flags are in the figures or were left out of them."""


class FailureItem(Item):
    """A reason, and the number of trials that it stopped; 0 where it failed a visit after its trials."""

    reason: str
    trials: int
    where: tuple[str, ...]


class SkippedItem(Item):
    """A dataplane or a topology that was requested and left out."""

    name: str
    title: str
    reason: str


class FlagItem(Item):
    """A flag, and how many trials have it."""

    flag: str
    trials: int
    meaning: str


class RunDocument(DocumentModel):
    """The result of a run, as the verbs run and report print it."""

    document: Literal["run"] = "run"
    version: Literal[1] = 1
    run_id: str
    environment: str
    outcome: RunOutcome
    interrupted: bool
    """Whether it ended before it began every trial."""
    headline: str
    notice: str | None
    """What is missing, and what makes the run doubtful."""
    regression: str | None
    """What is worse than in earlier nights by the limit or more."""
    baseline: str | None
    rounds: int
    trials: int
    trials_measured: int
    trials_failed: int
    trials_not_run: int
    dataplanes: tuple[MeasuredDataplane, ...]
    answer: AnswerItem | None
    """Null where nothing was compared."""
    comparisons: tuple[ComparisonItem, ...]
    changes: tuple[ChangeItem, ...]
    curves: tuple[CurveItem, ...]
    """How each figure moves with the scale; none in a run of one scale."""
    at_scale: tuple[str, ...]
    """The same in sentences, the surest change first."""
    programming: tuple[ProgrammingItem, ...]
    """How late changes work on a cluster, with the percentiles of all visits together."""
    failures: tuple[FailureItem, ...]
    skipped: tuple[SkippedItem, ...]
    flags: tuple[FlagItem, ...]
    disclaimer: str | None
    report: str
    """The address of the report."""
