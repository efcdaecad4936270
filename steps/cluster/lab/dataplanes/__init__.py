"""What installs a dataplane in the lab: one module each, called after it.

A module offers `install(ports, burden)`, which works on the fresh, bare lab and returns what it changed, and `TRAITS`,
by which evidence tells the dataplanes apart: its counters, and what it takes to have it.
"""

from collections.abc import Mapping
from typing import Protocol, cast

from analysis.errors import BadInput, Unsupported
from steps.catalogue.dataplanes import BY_NAME, Arm, of_kind
from steps.catalogue.environments import LAB
from steps.cluster import implementations
from steps.cluster.lab.services import ServicePort
from steps.cluster.lab.signs import Traits
from steps.domain import Change


class LabDataplane(Protocol):
    """What a module of this package offers."""

    TRAITS: Traits

    def install(self, ports: list[ServicePort], burden: int) -> list[Change]:
        """Make both nodes forward by this dataplane, with `burden` rules more in front of each forwarded packet."""
        ...


def load(arm: Arm) -> LabDataplane:
    """The module that installs an arm's dataplane.

    Raises:
        BadInput: it isn't one of the lab's.
        Unsupported: it has no module, or no sign would tell it from another.
    """
    entry = BY_NAME.get(arm.name)
    if entry is None or entry.environment != LAB:
        raise BadInput(f"{arm.name} is not a dataplane that the lab can install; see steps/catalogue/dataplanes.py.")
    module = cast("LabDataplane", implementations.find(__name__, entry))
    if reason := alike(arm.name, traits()):
        raise Unsupported(reason)
    return module


def traits() -> dict[str, Traits]:
    """The traits of every dataplane that the lab can install, by its name."""
    found = {}
    for entry in of_kind(LAB):
        try:
            found[entry.name] = cast("LabDataplane", implementations.find(__name__, entry)).TRAITS
        except Unsupported:  # preflight says so of a dataplane that is asked for
            continue
    return found


def alike(name: str, known: Mapping[str, Traits]) -> str | None:
    """Why no sign distinguishes a dataplane from another, as a sentence that names both; None if one does. Pure."""
    same = [other for other, traits in known.items() if other != name and traits.is_like(known[name])]
    if not same:
        return None
    return (
        f"{name} and {' and '.join(same)} have the same traits, so that no sign tells them apart and none can be "
        "proven: give one a mechanism with counters of its own."
    )
