"""The table of the answer: kinds of traffic by dataplanes. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from analysis.domain import Cell
from analysis.metrics import BY_NAME, COMPARED
from analysis.stats.verdicts.comparison import Comparison
from analysis.summary.figures.standings import MetricStanding, Standing, stand

QUOTED: Final = tuple(
    sorted((metric for metric in COMPARED if metric.leads or metric.beside), key=lambda metric: not metric.leads)
)
"""The metrics of the table; a leading one decides its kind of traffic, and another takes the claim back where it is
worse."""

Claim = Literal["good", "worse", "mixed", "undecided"]
"""What a sentence may say of a dataplane on a kind of traffic. mixed: better by one metric and worse by another."""

Relation = Literal["better", "worse", "same", "mixed", "undecided"]

_CONTRARY: Final[dict[Relation, set[Relation]]] = {
    "better": {"worse"},
    "worse": {"better"},
    "same": {"better", "worse"},
    "undecided": set(),
    "mixed": set(),
}
"""What other metrics must not say, for a relation by the leading one to hold."""


@dataclass(frozen=True, slots=True)
class TitledDataplane:
    """A dataplane of the table."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class TrafficCell:
    """A dataplane on a kind of traffic.

    `standings`: by each metric that was measured there, the leading one first. `to_baseline`: over all of them; None:
    it is the baseline, or there is no comparison.
    """

    dataplane: str
    standings: tuple[MetricStanding, ...]
    to_baseline: Relation | None = None

    @property
    def standing(self) -> Standing:
        """By the leading metric."""
        return self.standings[0].standing

    @property
    def shown(self) -> tuple[MetricStanding, ...]:
        """The standings to name: the leading one alone where all agree."""
        known = [each for each in self.standings if each.standing != "not-measured"]
        return self.standings[:1] if len({each.standing for each in known}) <= 1 else tuple(known)

    @property
    def claim(self) -> Claim:
        """What may be said of it, where every dataplane was measured. An undecided leading metric decides nothing."""
        found = {each.standing for each in self.standings}
        if self.standing in {"undecided", "not-measured"}:
            return "undecided"
        if "worse" in found:
            return "mixed" if "best" in found else "worse"
        return "good"


@dataclass(frozen=True, slots=True)
class TrafficKind:
    """A kind of traffic: what it is called, its path, how it was measured, and a cell for each dataplane."""

    title: str
    path: str
    measured: Cell
    cells: tuple[TrafficCell, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every dataplane was measured, so that the best of those measured is the best."""
        return all(cell.standing != "not-measured" for cell in self.cells)

    @property
    def are_all_equal(self) -> bool:
        """Whether every dataplane is as good as every other by each metric that is decided."""
        return all(cell.standing == "as-good" and cell.claim == "good" for cell in self.cells)

    def cell(self, dataplane: str) -> TrafficCell:
        """The cell of a dataplane."""
        return next(cell for cell in self.cells if cell.dataplane == dataplane)

    def claim(self, dataplane: str) -> Claim:
        """What a sentence may say of a dataplane here."""
        return self.cell(dataplane).claim if self.is_complete else "undecided"


def count_claims(kinds: Iterable[TrafficKind], dataplane: str) -> "Counter[Claim]":
    """On how many kinds of traffic a dataplane is what: the numbers of headline, notification and gauges alike."""
    return Counter(kind.claim(dataplane) for kind in kinds)


def traffic_kind(
    title: str, path: str, names: Sequence[str], cell: Cell, comparisons: Iterable[Comparison]
) -> TrafficKind | None:
    """The kind of traffic that a cell is, for the dataplanes of these names; None: no leading metric compared it."""
    here = [c for c in comparisons if c.cell == cell]
    by_metric = [found for metric in QUOTED if (found := [c for c in here if c.metric == metric.name])]
    if not by_metric or not BY_NAME[by_metric[0][0].metric].leads:
        return None
    standings = [stand(names, found) for found in by_metric]
    return TrafficKind(
        title=title,
        path=path,
        measured=cell,
        cells=tuple(
            TrafficCell(name, tuple(each[name] for each in standings), _to_baseline(name, by_metric)) for name in names
        ),
    )


def _to_baseline(name: str, by_metric: Iterable[Iterable[Comparison]]) -> Relation | None:
    """A dataplane against the baseline over all metrics, the leading one first."""
    found = [_relation(c) for each in by_metric for c in each if c.against_baseline and c.dataplane == name]
    if not found:
        return None
    return "mixed" if _CONTRARY[found[0]] & {*found} else found[0]


def _relation(c: Comparison) -> Relation:
    """What a comparison says of its dataplane; a difference within the margin counts as the same."""
    if c.decided and c.within_margin:
        return "same"
    return "undecided" if c.gain is None else "better" if c.gain else "worse"
