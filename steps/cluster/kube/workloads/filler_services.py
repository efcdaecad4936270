"""Many Services: what a thousand of them cost each connection is part of the question, and they cost it in rules.

They stay from visit to visit, since making and deleting them takes longer than a visit's trials. So does the pod behind
them: with a visit's own server there, each visit would have all their endpoints written anew, by a controller that
writes some 20 a second, and the trials' own Service would have to wait until its turn came.
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
ENDPOINTS_PER_S: Final = 10.0
"""At least so many Services get their endpoints in a second: kube-controller-manager may write 20 times a second."""

_BEHIND: Final = {"dataplane-benchmark/serves": PART}


def ensure_services(client: Client, count: int, node: str, image: str, port: int) -> None:
    """Have so many Services beside the trials' own, and one pod behind them all, as their rules need a backend.

    Args:
        client: of the cluster.
        count: how many.
        node: where the pod runs.
        image: of the pod.
        port: what it listens at.

    Raises:
        Problem: the cluster has no addresses for so many, or the pod is not ready.
    """
    workload = Workload(client, PART)
    workload.ensure_pods([backend(node, image, port)])
    try:
        workload.ensure_services(*(manifest(index, port) for index in range(1, count + 1)))
    except ApiError as error:
        if "range is full" not in str(error):
            raise
        raise Problem(
            f"{client.where}: there are no addresses for {count} Services more: choose fewer with services=N."
        ) from None


def clear(client: Client) -> None:
    """Take them away, and the pod behind them, and wait until it is gone. Safe to run twice."""
    Workload(client, PART).delete()


def backend(node: str, image: str, port: int) -> Object:
    """The pod behind them."""
    listens = Container(PART, ("python", "-m", "steps.tools.connect_probe", "serve", str(port)), port)
    return manifests.pod(PART, PART, PART, node, [listens], image, labels=_BEHIND)


def manifest(index: int, port: int) -> Object:
    """One of them."""
    ports = [{"name": "connect", "protocol": "TCP", "port": port, "targetPort": port}]
    return manifests.service(f"{PART}-{index:05d}", PART, PART, _BEHIND, ports, "ClusterIP")
