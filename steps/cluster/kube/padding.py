"""Many Services: what a thousand of them cost each connection is part of the question, and they cost it in rules.

They stay from visit to visit, since making and deleting them takes longer than a visit's trials.
"""

from collections.abc import Mapping
from typing import Any, Final

from analysis.errors import Problem
from steps.cluster.kube import pods
from steps.cluster.kube.client import Client
from steps.cluster.kube.crew import Crew
from steps.cluster.kube.faults import ApiError

Object = dict[str, Any]

PART: Final = "padding"


def have(client: Client, count: int, selector: Mapping[str, str], port: int) -> None:
    """Have so many Services beside the trials' own, each with the server behind it, as its rules need a backend.

    Raises:
        Problem: the cluster has no addresses for so many.
    """
    made = [manifest(index, selector, port) for index in range(1, count + 1)]
    try:
        Crew(client, PART).serve(*made)
    except ApiError as error:
        if "range is full" not in str(error):
            raise
        raise Problem(
            f"{client.where}: there are no addresses for {count} Services more: choose fewer with services=N."
        ) from None


def manifest(index: int, selector: Mapping[str, str], port: int) -> Object:
    """One of them."""
    ports = [{"name": "connect", "protocol": "TCP", "port": port, "targetPort": port}]
    return pods.service(f"{PART}-{index:05d}", PART, PART, selector, ports, "ClusterIP")
