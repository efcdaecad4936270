"""Where a run measures: the environment's name, which is `lab` or a user's name for a cluster, and its kind.

`Settings.environment` and the store's column `environment` are names; `Dataplane.environment` is a kind.
"""

from typing import Final, Literal

from analysis.domain import LAB

__all__ = ["KUBERNETES", "LAB", "EnvironmentKind", "is_lab", "kind_of"]

EnvironmentKind = Literal["lab", "kubernetes"]
"""lab: network namespaces on this machine. kubernetes: a cluster."""

KUBERNETES: Final = "kubernetes"


def is_lab(environment: str) -> bool:
    """Whether an environment of this name is the lab on this machine; any other name is a Kubernetes cluster's."""
    return environment.strip() == LAB


def kind_of(environment: str) -> EnvironmentKind:
    """The kind of the environment of this name."""
    return "lab" if is_lab(environment) else KUBERNETES
