"""The cluster under test, behind one port; which adapter answers is decided here and nowhere else."""

from typing import TYPE_CHECKING

from steps.catalogue.environments import is_lab

if TYPE_CHECKING:
    from steps.cluster.port import Cluster


def connect_cluster(environment: str, *, at_prompt: bool = False) -> "Cluster":
    """The adapter for an environment. Imported when asked for, since a step pays for what it imports.

    `at_prompt`: a person waits for each answer, and not a workflow, which outlasts more.
    """
    if is_lab(environment):
        from steps.cluster.lab.adapter import LabCluster  # noqa: PLC0415 - see above

        return LabCluster()
    from steps.cluster.kube.adapter import KubernetesCluster  # noqa: PLC0415

    return KubernetesCluster(environment, at_prompt=at_prompt)
