"""The cluster under test, behind one port; which adapter answers is decided here and nowhere else."""

from importlib import import_module
from typing import cast

from steps.cluster.port import Cluster

LAB = "lab"
"""The environment that is made of network namespaces on this machine; any other name is a Kubernetes cluster's."""


def connect(environment: str, *, at_prompt: bool = False) -> Cluster:
    """The adapter for an environment. Imported when asked for, since a step pays for what it imports.

    `at_prompt`: a person waits for each answer, and not a workflow, which outlasts more.
    """
    if environment == LAB:
        return cast("Cluster", import_module("steps.cluster.lab").Lab())
    return cast("Cluster", import_module("steps.cluster.kube.adapter").Kube(environment, at_prompt=at_prompt))
