"""Objects that belong to the workflow of this process, so that Kubernetes deletes them with it."""

from contextlib import suppress
from typing import Any

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.permissions import BENCHMARK, Resource

Object = dict[str, Any]


def create(client: Client, kind: Resource, manifest: Object) -> Object | None:
    """Create an object in the benchmark's namespace; None: one of that name exists, perhaps by this very call."""
    owner = client.owner_reference
    owned = {**manifest["metadata"], **({"ownerReferences": [owner]} if owner else {})}
    with suppress(ConflictError):
        return client.create(kind, {**manifest, "metadata": owned}, BENCHMARK)
    return None


def is_own(client: Client, found: Object) -> bool:
    """Whether an object belongs to this workflow and no other, with which it would be deleted."""
    owners = {each.get("uid") for each in found["metadata"].get("ownerReferences") or []}
    return owners == ({client.owner_reference["uid"]} if client.owner_reference else set())
