"""What keeps the Services and policies of a mechanism on a node: how they change, how they are counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.services import ServicePort

POLICY_SOURCE: Final = "198.51.100.2"
POLICY_PORT: Final = 9
"""What policies match: an address for documentation (RFC 5737) and the port of the discard service, which no packet of
the lab has."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Unused and measured Services' ports on a node, and their endpoints."""

    ports: int
    endpoints: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables of one mechanism.

    Attributes:
        where: what is counted, in words: Services, endpoints, policies.
        replace: makes the Services of a node be these, in the place of those before; None: these are unknown. Returns
            the equivalent command.
        count: how many there are.
        update: prepares the dataplane's own update of a node that has these ports, of which these have changed or are
            new, and these are to go; what it returns makes it.
        set_policies: makes a node have so many policies on its pods; returns the equivalent command.
        count_policies: how many it has.
    """

    where: tuple[str, str, str]
    replace: Callable[[LabNode, Sequence[ServicePort], Sequence[ServicePort] | None], str]
    count: Callable[[LabNode], Counted]
    update: Callable[[LabNode, Sequence[ServicePort], Sequence[ServicePort], Sequence[ServicePort]], Callable[[], None]]
    set_policies: Callable[[LabNode, int], str]
    count_policies: Callable[[LabNode], int]
