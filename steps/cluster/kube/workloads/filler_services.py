"""Many Services, whose rules cost each connection something: measuring that is part of the question.

They stay from visit to visit, since creating and deleting them takes longer than a visit's trials. So does the pod
behind them: otherwise each visit would change all their endpoints, at some 20 a second, before those of the trials.
"""

from typing import Any, Final

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError
from steps.cluster.kube.workloads import manifests
from steps.cluster.kube.workloads.manifests import Container
from steps.cluster.kube.workloads.workload import Workload

Object = dict[str, Any]

PART: Final = "padding"
_BEHIND: Final = {"dataplane-benchmark/serves": PART}


def ensure_services(client: Client, count: int, node: str, image: str, port: int) -> None:
    """Create so many Services beside the trials' own, and one pod behind them all, since rules need a backend.

    Args:
        client: of the cluster.
        count: how many.
        node: where the pod runs.
        image: of the pod.
        port: of the Services.

    Raises:
        Problem: the cluster has no addresses for so many, or the pod is not ready.
    """
    workload = Workload(client, PART)
    workload.ensure_pods([backend(node, image)])
    try:
        workload.ensure_services(*(manifest(index, port) for index in range(1, count + 1)))
    except ApiError as error:
        if "range is full" not in str(error):
            raise
        raise Problem(
            f"{client.where}: there are no addresses for {count} Services more: choose fewer with services=N."
        ) from None


def clear(client: Client) -> None:
    """Delete them and the pod behind them, and wait until it is gone. Safe to run twice."""
    Workload(client, PART).delete()


def backend(node: str, image: str) -> Object:
    """The pod behind them. It makes their endpoints complete, and listens nowhere, since nothing connects to them."""
    idle = Container(PART, ("sleep", "infinity"))
    return manifests.pod(PART, PART, node, [idle], image, labels=_BEHIND, deadline_s=manifests.LONGEST_RUN_S)


def manifest(index: int, port: int) -> Object:
    """One of the Services."""
    ports = [{"name": "connect", "protocol": "TCP", "port": port, "targetPort": port}]
    return manifests.service(f"{PART}-{index:05d}", PART, _BEHIND, ports, "ClusterIP")
