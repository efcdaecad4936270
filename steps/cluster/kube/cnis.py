"""The network plugins that this project can switch: each is a folder of `plugins` and a line here."""

from typing import Any, Final

from steps.cluster.kube.cni import Cni, Surroundings
from steps.cluster.kube.plugins.calico.plugin import Calico

CNIS: Final[tuple[type[Cni[Any]], ...]] = (Calico,)
"""The first is the default: it labels a plugin that it does not know, and measures it as it is."""


def choose(surroundings: Surroundings) -> Cni[Any]:
    """The plugin of this cluster."""
    first, *others = CNIS
    return next((each for each in others if each.runs(surroundings.client)), first)(surroundings)
