"""The network plugins that this project knows how to switch: one folder beside `calico`, and one line here, each."""

from typing import Any, Final

from steps.cluster.kube.calico.plugin import Calico
from steps.cluster.kube.cni import Cni, Surroundings

CNIS: Final[tuple[type[Cni[Any]], ...]] = (Calico,)
"""The first stands in where none of the others runs: what it does not know it labels, and measures as it is."""


def choose(surroundings: Surroundings) -> Cni[Any]:
    """What answers for the plugin of this cluster."""
    first, *others = CNIS
    return next((each for each in others if each.runs(surroundings.client)), first)(surroundings)
