"""What installs a dataplane in the lab: one module each, named by the catalogue.

A module offers `install(ports, burden)`, which works on the fresh, bare lab and returns what it changed, and `TRAITS`,
by which evidence tells the dataplanes apart.
"""

from importlib import import_module
from typing import Protocol, cast

from analysis.errors import BadInput
from steps.catalogue.dataplanes import BY_NAME, DATAPLANES, Arm
from steps.cluster.lab.evidence import Traits
from steps.cluster.lab.services import ServicePort
from steps.model import Change


class Dataplane(Protocol):
    """What a module of this package offers."""

    TRAITS: Traits

    def install(self, ports: list[ServicePort], burden: int) -> list[Change]:
        """Make both nodes forward by this dataplane, with `burden` rules more in front of each forwarded packet."""
        ...


def load(arm: Arm) -> Dataplane:
    """The module that installs an arm's dataplane.

    Raises:
        BadInput: it isn't one of the lab's.
    """
    entry = BY_NAME.get(arm.name)
    if entry is None or entry.environment != "lab" or entry.implementation is None:
        raise BadInput(f"{arm.name} is not a dataplane that the lab can install; see steps/catalogue/dataplanes.py.")
    return cast("Dataplane", import_module(entry.implementation))


def traits() -> dict[str, Traits]:
    """The traits of every dataplane that the lab can install, by its name."""
    return {d.name: load(Arm(d.name)).TRAITS for d in DATAPLANES if d.environment == "lab" and d.implementation}
