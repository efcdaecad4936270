"""One change as one node saw it, and what all of them of a trial come to. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observation:
    """One change as one node saw it.

    Attributes:
        node: its name.
        seconds: from the change; None: the node had not followed in time.
        bound_s: by how much the clocks that this rests on may differ.
    """

    node: str
    seconds: float | None
    bound_s: float
