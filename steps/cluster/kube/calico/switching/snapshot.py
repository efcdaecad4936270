"""The snapshot of a cluster from before a run, and the field values that it restores."""

from typing import Any

from analysis.errors import Problem
from steps.cluster.kube import snapshot
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.fields import Field, Ref, Value
from steps.cluster.kube.calico.switching import fields
from steps.cluster.kube.calico.switching.cluster_state import ClusterState

Object = dict[str, Any]


def take_snapshot(client: Client, standing: ClusterState, asked_nodes: str) -> Object:
    """The snapshot of the present state."""
    chosen = nodes.choose_nodes(standing.facts.nodes, asked_nodes)
    return snapshot.take_snapshot(
        standing.objects,
        chosen,
        client.now(),
        dataplane=standing.facts.dataplane,
        kube_proxy_config_key=standing.facts.kube_proxy_config_key,
    )


def snapshot_objects(taken: Object) -> dict[Ref, Object | None]:
    """The objects of a snapshot.

    Raises:
        Problem: it is malformed.
    """
    try:
        return snapshot.snapshot_objects(taken)
    except (KeyError, TypeError) as error:
        raise Problem(f"the snapshot is malformed: {error} is missing or wrong in it.") from None


def original_fields(taken: Object) -> dict[Field, Value]:
    """The fields that were touchable when a snapshot was taken, and their values."""
    objects = snapshot_objects(taken)
    return fields.state(objects, fields.snapshotted(objects, taken.get("kube_proxy_config_key")))
