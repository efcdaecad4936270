"""The factors in the lab: one module for each that the catalogue names, which makes it, and counts it on each node."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Final, Protocol, cast

from steps.catalogue.factors import FACTORS, Scale
from steps.cluster.lab.mechanism import Mechanism
from steps.cluster.lab.network.addresses import LabNode
from steps.domain import Change, ScaleSign

MODULES: Final = tuple(dict.fromkeys(factor.module for factor in FACTORS.values()))
"""In the order in which they are made, and in which the last is the first to be stopped."""


class LabFactor(Protocol):
    """The interface of each module of this package."""

    def is_made(self, mechanism: Mechanism, scale: Scale) -> bool:
        """Whether the mechanism has to make it, since its value is not that of a bare lab."""
        ...

    def apply(self, mechanism: Mechanism, before: Scale | None, scale: Scale) -> list[Change]:
        """Change both nodes. `before`: what they have; None: unknown."""
        ...

    def stop(self) -> None:
        """End what changes something all the time."""
        ...

    def count(self, mechanism: Mechanism, node: LabNode, scale: Scale) -> list[ScaleSign]:
        """What the node has of it."""
        ...


def implemented() -> dict[str, LabFactor]:
    """The modules that are here, by their names. What has none has its default in the lab, and preflight says so."""
    names = {name: f"{__name__}.{name}" for name in MODULES}
    return {name: cast("LabFactor", import_module(path)) for name, path in names.items() if find_spec(path) is not None}


def missing(scales: Sequence[Scale]) -> list[str]:
    """The factors that some of these scales vary and the lab can't make, as typed."""
    here = implemented()
    return [
        factor.option or name
        for name, factor in FACTORS.items()
        if factor.module not in here
        and any(getattr(scale, name) != Scale.model_fields[name].default for scale in scales)
    ]
