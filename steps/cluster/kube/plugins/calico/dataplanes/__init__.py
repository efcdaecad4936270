"""Calico's dataplanes: one module each, named after the catalogue's entry, which defines IMPLEMENTATION.

A dataplane without a module here is never switched to.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from analysis.errors import Unsupported
from steps.catalogue.dataplanes import BY_NAME, DATAPLANES, Dataplane
from steps.cluster import implementations
from steps.cluster.kube.plugins.calico.implementation import Implementation

CNI: Final = "calico"


@dataclass(frozen=True, slots=True)
class Known:
    """A dataplane of the catalogue that Calico can be switched to."""

    entry: Dataplane
    how: Implementation

    @property
    def name(self) -> str:
        """The catalogue's name."""
        return self.entry.name

    @property
    def traits(self) -> tuple[bool, bool, bool]:
        """What the common signs show: eBPF, nftables (never shown beside eBPF), direct server return."""
        return self.entry.bpf, self.how.nftables and not self.entry.bpf, bool(self.entry.direct_return)


@cache
def known() -> tuple[Known, ...]:
    """All of Calico's dataplanes, in the catalogue's order."""
    found = []
    for entry in DATAPLANES:
        if entry.cni == CNI:
            try:
                found.append(Known(entry, implementations.find(__name__, entry).IMPLEMENTATION))
            except Unsupported:  # `refusal` returns the reason
                continue
    return tuple(found)


def names(agrees: Callable[[Known], bool] = lambda _: True) -> tuple[str, ...]:
    """The names of the dataplanes that satisfy a condition."""
    return tuple(each.name for each in known() if agrees(each))


def load(name: str) -> Implementation:
    """How Calico is switched to a dataplane.

    Raises:
        Unsupported: there is no module for it, or the module contradicts the catalogue.
    """
    if reason := refusal(name, known()):
        raise Unsupported(reason)
    return next(each.how for each in known() if each.name == name)


def refusal(name: str, those: Iterable[Known]) -> str | None:
    """Why Calico can't be switched to a dataplane of the catalogue, as a sentence; None: it can.

    `those`: the dataplanes that Calico can be switched to.
    """
    entry = BY_NAME.get(name)
    own = next((each for each in those if each.name == name), None)
    if own is None and entry is not None and entry.cni == CNI:
        return implementations.missing(__name__, entry)
    if own is None:
        return f"{name} is no dataplane of Calico, which runs on this cluster."
    if (own.entry.bpf, bool(own.entry.direct_return)) != (own.how.bpf, own.how.direct_return):
        return f"the catalogue's entry {name} and its module differ in eBPF or direct return."
    alike = [o.name for o in those if o is not own and o.traits == own.traits and not (o.how.shows or own.how.shows)]
    if alike:
        return f"{name} and {' and '.join(alike)} have the same traits, so that no sign distinguishes them."
    return None


@cache
def further_fields() -> tuple[str, ...]:
    """The fields of FelixConfiguration that some dataplanes set beyond the common ones."""
    return tuple(sorted({name for each in known() for name in each.how.further}))
