"""The snapshot of a cluster: what exists, and what is absent, of the objects that a switch may touch. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from steps.cluster.kube.api.fields import Ref
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import Resource
from steps.strict_model import StrictModel

VERSION: Final = 1
"""Of the layout."""

_NOISE: Final = ("managedFields", "resourceVersion", "generation", "selfLink")
_NOISY_ANNOTATIONS: Final = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", "deprecated.daemonset.template.generation"}
)

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Uid = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
DataplaneName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]


class _Reference(StrictModel):
    group: Annotated[str, Field(pattern=r"^[a-z0-9.-]{0,100}$")]
    version: Annotated[str, Field(pattern=r"^v[a-z0-9]{1,15}$")]
    plural: Annotated[str, Field(pattern=r"^[a-z]{1,63}$")]
    kind: Annotated[str, Field(pattern=r"^[A-Za-z]{1,63}$")]
    name: ObjectName
    namespace: Label | None


class _Entry(StrictModel):
    ref: _Reference
    object: Object | None


class Snapshot(StrictModel):
    """What a snapshot may have. Its objects are bounded in number; the API server bounds their size."""

    version: Literal[1]
    taken_at: AwareDatetime
    dataplane: DataplaneName | None
    nodes: Annotated[tuple[ObjectName, ...], Field(min_length=1, max_length=2)]
    kube_proxy_config_key: Annotated[str, Field(pattern=r"^[-._A-Za-z0-9]{1,253}$")] | None = None
    objects: Annotated[tuple[_Entry, ...], Field(max_length=16)]


def take_snapshot(
    objects: Mapping[Ref, Object | None],
    nodes: tuple[str, ...],
    now: datetime,
    *,
    dataplane: str | None,
    **more: object,
) -> Object:
    """What exists, and what is absent, as JSON: whole objects without the server's own fields.

    Args:
        objects: that a switch may touch; None: absent.
        nodes: that are measured.
        now: by the server's clock.
        dataplane: that runs; None: unknown.
        more: what else the plugin needs to put them back.
    """
    return {
        "version": VERSION,
        "taken_at": now.isoformat(),
        "dataplane": dataplane,
        "nodes": list(nodes),
        **more,
        "objects": [
            {
                "ref": {**asdict(ref.resource), "name": ref.name, "namespace": ref.namespace},
                "object": without_server_fields(found),
            }
            for ref, found in objects.items()
        ],
    }


def snapshot_objects(snapshot: Object) -> dict[Ref, Object | None]:
    """The objects of a snapshot.

    Raises:
        KeyError, TypeError: the snapshot is damaged.
    """
    return {_ref(dict(entry["ref"])): entry["object"] for entry in snapshot["objects"]}


def without_server_fields(found: Object | None) -> Object | None:
    """An object without its status and without what only the server sets."""
    if found is None:
        return None
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in _NOISE}
    annotations = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _NOISY_ANNOTATIONS
    }
    if "annotations" in metadata:
        metadata["annotations"] = annotations
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def _ref(entry: Object) -> Ref:
    name, namespace = entry.pop("name"), entry.pop("namespace")
    return Ref(Resource(**entry), name, namespace)
