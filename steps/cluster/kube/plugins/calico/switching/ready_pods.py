"""The pods that a switch waits for: those of nodes that are ready."""

from collections.abc import Iterable

from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import NODES


def away(client: Client) -> frozenset[str]:
    """The nodes that are not ready: a restore can't wait for them."""
    return nodes.not_ready(client.list(NODES))


def present(client: Client, pods: Iterable[Object]) -> list[Object]:
    """The pods that are not on such a node."""
    left_out = away(client)
    return [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") not in left_out]
