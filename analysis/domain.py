"""Terms of the stored rows, and what runs and their verdicts agree on, for the code that writes and reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

LAB: Final = "lab"
"""The environment of the lab on one machine. Every other environment is a Kubernetes cluster."""

DEALT: Final = "dealt"
"""Among a run's parameters: each cell was measured in one dataplane alone, so that there is nothing to compare."""

IMPORTED: Final = "imported"
"""The trigger of runs that another tool measured, and the beginning of their environments: `imported:NAME`."""

HOST_PATH: Final = "node-to-node"
"""The topology between the nodes' own networks, in runs that did not record which one that is."""

FIRST_LOOK: Final = 3
"""The first round after which a run may stop: two rounds leave one degree of freedom."""

OKABE_ITO: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Colours of dataplanes without one of their own. Okabe and Ito, "Color Universal Design", 2008."""

MARGIN_RATIO: Final = 0.1
"""How much counts as the same, unless a run says otherwise."""


class StoredScale(NamedTuple):
    """A scale as rows have it. The defaults are those of rows that were stored without it."""

    services: int = 0
    endpoints: int = 1
    policies: int = 0
    churn_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor as rows have it: a column of `trials`, and the option by which a run is given its values.

    `one`, `many`: the nouns for one of it and for several. `of_services`: it is of the unused Services, and means
    nothing where there are none.
    """

    column: str
    option: str
    one: str
    many: str
    of_services: bool = False


FACTORS: Final = (
    Factor("services", "services", "Service", "Services"),
    Factor("endpoints", "endpoints", "endpoint per Service", "endpoints per Service", of_services=True),
    Factor("policies", "policies", "NetworkPolicy", "NetworkPolicies"),
    Factor("churn_per_s", "churn", "changed endpoint per second", "changed endpoints per second", of_services=True),
)
"""In the order in which scales are sorted and named."""


class Cell(NamedTuple):
    """One path, measured by one tool over one transport in one direction, at one scale."""

    topology: str
    tool: str
    transport: str
    direction: str
    services: int = 0
    endpoints: int = 1
    policies: int = 0
    churn_per_s: float = 0.0

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Cell":
        """The cell of a row with these columns; those of the scale may be missing or null.

        The transport and the direction of an imported trial that never began may be unknown; they are empty then.
        """
        scale = {name: value for name in StoredScale._fields if (value := row.get(name)) is not None}
        return cls(row["topology"], row["tool"], row["transport"] or "", row["direction"] or "", **scale)

    @property
    def measured_by(self) -> tuple[str, str]:
        """Tool and transport."""
        return self.tool, self.transport

    @property
    def scale(self) -> StoredScale:
        """The scale."""
        return StoredScale(*self[4:])

    @property
    def unscaled(self) -> tuple[str, str, str, str]:
        """The cell without its scale."""
        return self[:4]

    def at(self, scale: StoredScale) -> "Cell":
        """The same at another scale."""
        return self._replace(**scale._asdict())


CELL: Final = ", ".join(Cell._fields)
"""The columns of a cell, as SQL lists them."""

SCALE: Final = ", ".join(StoredScale._fields)
"""The columns of a scale, likewise."""


@dataclass(frozen=True, slots=True)
class StoredVariant:
    """A tool over one transport, as a run recorded it: `tcp`, `udp`, `connect`.

    `figures`: the columns of `trials` that it fills; None: not recorded. `title`: in plain words: `TCP`,
    `new connections`; empty: not recorded.
    """

    name: str
    figures: frozenset[str] | None = None
    title: str = ""
