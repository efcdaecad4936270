"""The cluster under test, behind one port; which adapter answers is decided here and nowhere else."""

from steps.catalogue.environments import is_lab
from steps.cluster.port import Cluster


def connect(environment: str, *, at_prompt: bool = False) -> Cluster:
    """The adapter for an environment. Imported when asked for, since a step pays for what it imports.

    `at_prompt`: a person waits for each answer, and not a workflow, which outlasts more.
    """
    if is_lab(environment):
        from steps.cluster.lab import Lab  # noqa: PLC0415 - see above

        return Lab()
    from steps.cluster.kube.adapter import Kube  # noqa: PLC0415

    return Kube(environment, at_prompt=at_prompt)
