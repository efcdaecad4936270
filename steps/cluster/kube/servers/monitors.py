"""The monitors of both nodes: pods that serve a node's counters, and in each visit one that gives its turns."""

import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from steps.catalogue.topologies import Topology
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads import owned
from steps.cluster.kube.workloads.manifests import LONGEST_RUN_S, NODE_MONITORS, Container
from steps.cluster.kube.workloads.probe_pods import Site
from steps.cluster.kube.workloads.workload import Workload
from steps.tools.tool import MONITOR_PORT

MONITOR: Final = "monitor"
ON_NODE: Final = "monitor-host"
"""The names begin so, and end with the number of the node."""


def container(token: str) -> Container:
    """The program of a monitor. `token`: that it demands of its clients; empty: none, for a dry run."""
    argv = ("python", "-m", "steps.measurement.monitors.monitor_http", "serve", str(MONITOR_PORT), token)
    return Container(MONITOR, argv, MONITOR_PORT)


def on_nodes(places: Sequence[Site], image: str, token: str = "") -> list[Object]:
    """The monitors in the nodes' own networks, which a client outside can reach."""
    own = [container(token)]
    make = partial(pods.pod, part=NODE_MONITORS, containers=own, image_name=image, deadline_s=LONGEST_RUN_S)
    return [make(f"{ON_NODE}-{index}", node=place.node, host_network=True) for index, place in enumerate(places)]


def are_needed_on_nodes(wanted: Iterable[Topology]) -> bool:
    """Whether one of these topologies has a client outside."""
    return any(topology.client == "outside" for topology in wanted)


def ensure_on_nodes(client: Client, places: Sequence[Site], image: str) -> dict[str, Object]:
    """These, by name: those of an earlier visit of the run, or new ones.

    Raises:
        Problem: one can't start; with the reason.
    """
    workload = Workload(client, NODE_MONITORS)
    own = (pods.token_of(pod) for pod in workload.pods().values() if owned.is_own(client, pod))
    token = next(filter(None, own), None) or secrets.token_hex(16)
    found = workload.ensure_pods(on_nodes(places, image, token), is_up=pods.has_address)
    return {pod["metadata"]["name"]: pod for pod in found}
