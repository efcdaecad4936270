"""Words that the stored rows and what writes and reads them have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

LAB: Final = "lab"
"""The environment whose figures are a laboratory's, never a cluster's. Every other name is a Kubernetes cluster's."""


class Cell(NamedTuple):
    """One path, measured by one tool over one transport in one direction."""

    topology: str
    tool: str
    transport: str
    direction: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Cell":
        """The cell of a row that has these four columns."""
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
        name: by which people know it and options pick it: `tcp`, `udp`, `connect`.
        figures: the columns of `trials` that it fills; None: not recorded.
    """

    name: str
    figures: frozenset[str] | None = None
