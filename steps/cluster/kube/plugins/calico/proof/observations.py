"""Read one observation of each node: calico-node's log, and the report of its probe pods."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import PODS
from steps.cluster.kube.plugins.calico.felix.log import FelixLog, read_felix_log
from steps.cluster.kube.plugins.calico.inventory.objects import CALICO_NODE
from steps.cluster.kube.plugins.calico.proof.signs import Observation
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState
from steps.cluster.kube.workloads import probe_pods

_MARGIN: Final = timedelta(seconds=10)
"""How long before the last change a log is read."""

_DIGITS: Final = 12
"""Of a container's identifier that are kept."""

_LINES: Final = 50_000
"""The last lines that are read. A kubelet has those since its last rotation: of 10 MiB by default, or 40,000 lines."""


def read_observations(
    client: Client, standing: ClusterState, reports: Mapping[str, probe_pods.NodeReport]
) -> list[Observation]:
    """Observe the measured nodes, whose probes' reports are given, and the logs of all other nodes of Calico's."""
    measured = list(reports)
    logs = read_logs(client, standing, measured)
    found = []
    for node in measured:
        missed = [] if logs.get(node) is not None else ["calico-node's log could not be read"]
        if reports[node].host is None:
            missed.append("no probe pod there has reported what this version can read")
        found.append(
            Observation(
                node,
                logs.get(node),
                reports[node].host,
                reports[node].answers,
                tuple(missed),
                follows_proxy=standing.facts.follows_kube_proxy,
                silenced=standing.facts.silenced,
            )
        )
    found += [Observation(node, reading) for node, reading in logs.items() if node not in measured]
    return found


def read_logs(client: Client, standing: ClusterState, measured: Sequence[str]) -> dict[str, FelixLog | None]:
    """Felix's log on every node, by node. None: the pod is gone, or its log is empty or can't be read.

    Where Felix has started since the last change, the log since then suffices; else the whole log is read, on the
    measured nodes.
    """
    namespace = standing.facts.calico_namespace
    if namespace is None:
        return {}
    away = {node.name for node in standing.nodes if not node.ready}
    since = standing.changed_at - _MARGIN if standing.changed_at is not None else None
    found: dict[str, FelixLog | None] = {}
    for pod in client.list(PODS, namespace, labels=standing.facts.agent_labels):
        node = (pod.get("spec") or {}).get("nodeName")
        if not node or pod["metadata"].get("deletionTimestamp") or (node in away and node not in measured):
            continue
        if since is None and node not in measured:
            continue
        log = partial(client.log, pod["metadata"]["name"], namespace, container=CALICO_NODE, tail_lines=_LINES)
        reading, container = None, _container(pod)
        if since is not None:
            reading = read_felix_log(log(since=since), container)
        restarted = reading is not None and reading.current is not None and reading.current.started_at is not None
        if not restarted and node in measured:
            reading = read_felix_log(log(), container)
        found[node] = reading if reading is not None and reading.current is not None else None
    return found


def _container(pod: dict[str, Any]) -> str:
    """Which container of the pod runs Felix; a new one numbers its processes anew. Empty: its status does not say."""
    states = (pod.get("status") or {}).get("containerStatuses") or []
    found = next((each.get("containerID") for each in states if each.get("name") == CALICO_NODE), None)
    return str(found or "")[-_DIGITS:]
