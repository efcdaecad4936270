"""A comparison of runs as a document for other programs."""

from typing import Literal

from analysis.console.documents import DocumentModel, Grid, Item, grid_of
from analysis.stats.contrasts.beside import BesideKind
from analysis.stats.contrasts.contrast import Basis, Contrast, Outcome
from analysis.stats.verdicts.comparison import Verdict
from analysis.summary.contrast.run_contrast import RunContrast
from analysis.summary.run.run_models import PathItem


class RunItem(Item):
    """A run of a side."""

    run_id: str
    began: str
    """When, in UTC, or `unknown`."""
    label: str


class SideItem(Item):
    """One of the two sides."""

    asked: str
    """The text that named it."""
    environment: str
    runs: tuple[RunItem, ...]


class DataplaneItem(Item):
    """A dataplane that both sides have, by its name in A."""

    name: str
    title: str


class BesideItem(Item):
    """What differed beside the figures."""

    kind: BesideKind
    name: str
    a: str
    b: str


class ContrastItem(PathItem):
    """A figure of B against the same of A, which has the scale and the path. What is not known is null.

    `unit` is that of `a` and `b` where `against` is null.
    """

    dataplane: str
    against: str | None
    """The baseline to which the figure is relative; null: it is the figure itself."""
    a: float | None
    """The figure in A; relative to a baseline as the difference to it: 0.41 is 41 % more."""
    b: float | None
    change: float | None
    """From A to B; of a relative figure, of its ratio to the baseline's."""
    low: float | None
    """The lower end of the interval of `change`; null: there is no interval, or no such end."""
    high: float | None
    verdict: Verdict
    """higher, lower: the interval leaves zero out. same: it lies within the margin."""
    outcome: Outcome
    margin_ratio: float
    p_adjusted: float | None
    basis: Basis | None
    """What the noise is taken from: visits of one run a side, nights (several runs a side), or their history."""
    runs_a: int
    runs_b: int
    visits_a: int
    visits_b: int
    flagged: bool
    """Whether trials with flags are in the figures or were left out of them."""
    text: str


class CompareDocument(DocumentModel):
    """What `compare` prints: the runs B against the runs A."""

    document: Literal["compare"] = "compare"
    version: Literal[1] = 1
    headline: str
    disclaimer: str | None
    """What the figures are not, where a side was measured in the lab or by another tool."""
    a: SideItem
    b: SideItem
    dataplanes: tuple[DataplaneItem, ...]
    """The baseline first."""
    beside: tuple[BesideItem, ...]
    """What else differed; whatever was found may be due to it."""
    notes: tuple[str, ...]
    """What the comparison claims and cannot exclude."""
    left_out: tuple[str, ...]
    """What is not compared, and why."""
    contrasts: tuple[ContrastItem, ...]
    families: tuple[str, ...]
    """Which intervals hold together, in words."""
    page: str
    """The address of the page; empty where none was written."""


def compare_document(found: RunContrast, page: str = "") -> CompareDocument:
    """A comparison as a document; `page`: the address of its page."""
    return CompareDocument.of(
        found,
        dataplanes=found.arms,
        contrasts=tuple(map(_contrast, found.contrasts)),
        families=tuple(family.sentence for family in found.families),
        page=page,
    )


def contrast_grid(document: CompareDocument) -> Grid:
    """A line for each contrast."""
    return grid_of(ContrastItem, document.contrasts)


def _contrast(one: Contrast) -> ContrastItem:
    return ContrastItem.of(
        one,
        runs_a=one.runs[0],
        runs_b=one.runs[1],
        visits_a=one.visits[0],
        visits_b=one.visits[1],
        flagged=bool(one.doubt.mark),
        text=one.sentence,
    )
