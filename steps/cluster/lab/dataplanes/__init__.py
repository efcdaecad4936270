"""The dataplanes of the lab: one module each, called after it, with `install` and `TRAITS`."""

from collections.abc import Mapping
from typing import Protocol, cast

from analysis.errors import BadInput, Unsupported
from steps.catalogue.dataplanes import BY_NAME, Arm, of_kind
from steps.catalogue.environments import LAB
from steps.cluster import implementations
from steps.cluster.lab.mechanism import Traits
from steps.cluster.lab.network.services import ServicePort
from steps.domain import Change


class LabDataplane(Protocol):
    """The interface of each module of this package."""

    TRAITS: Traits
    """What is observable of it, for evidence and preflight."""

    def install(self, ports: list[ServicePort], burden: int) -> list[Change]:
        """Make both nodes of the bare lab forward by this dataplane, each packet behind `burden` more rules."""
        ...


def load(arm: Arm) -> LabDataplane:
    """The module that installs an arm's dataplane.

    Raises:
        BadInput: it isn't one of the lab's.
        Unsupported: it has no module, or no sign separates it from another.
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
        except Unsupported:  # preflight reports it where the dataplane is chosen
            continue
    return found


def alike(name: str, known: Mapping[str, Traits]) -> str | None:
    """Why no sign separates a dataplane from another, as a sentence; None if one does. Pure."""
    same = [other for other, traits in known.items() if other != name and traits.is_like(known[name])]
    if not same:
        return None
    return (
        f"{name} and {' and '.join(same)} have the same traits, so that no sign separates them and none can be "
        "proven: give one a mechanism with counters of its own."
    )
