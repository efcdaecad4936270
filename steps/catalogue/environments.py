"""Where a run measures: an environment's name, and the kind of cluster that it is the name of.

The name (`Settings.environment`, the store's column `environment`) is `lab` or what a person calls a cluster. The kind
(`Dataplane.environment`) is what a dataplane can be installed in, and there are two.
"""

from typing import Final, Literal

from analysis.domain import LAB

__all__ = ["KUBERNETES", "LAB", "Kind", "is_lab", "kind_of"]

Kind = Literal["lab", "kubernetes"]
"""lab: network namespaces on this machine. kubernetes: a cluster, by its API."""

KUBERNETES: Final = "kubernetes"


def is_lab(environment: str) -> bool:
    """Whether an environment of this name is the lab on this machine; any other name is a Kubernetes cluster's."""
    return environment.strip() == LAB


def kind_of(environment: str) -> Kind:
    """The kind of the environment of this name."""
    return "lab" if is_lab(environment) else KUBERNETES
