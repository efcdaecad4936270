"""Terms of the stored rows, and what runs and their verdicts agree on, for the code that writes and reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

LAB: Final = "lab"
"""The environment of the lab on one machine. Every other environment is a Kubernetes cluster."""

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


class Cell(NamedTuple):
    """One path, measured by one tool over one transport in one direction."""

    topology: str
    tool: str
    transport: str
    direction: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Cell":
        """The cell of a row with these four columns."""
        return cls(*(row[name] for name in cls._fields))

    @property
    def measured_by(self) -> tuple[str, str]:
        """Tool and transport."""
        return self.tool, self.transport

    @property
    def path(self) -> tuple[str, str, str]:
        """The cell without its direction."""
        return self[:3]


CELL: Final = ", ".join(Cell._fields)
"""The columns of a cell, as SQL lists them."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A tool over one transport, as a run recorded it.

    Attributes:
        name: in options and sentences: `tcp`, `udp`, `connect`.
        figures: the columns of `trials` that it fills; None: not recorded.
        title: in plain words: `TCP`, `new connections`; empty: not recorded.
    """

    name: str
    figures: frozenset[str] | None = None
    title: str = ""
