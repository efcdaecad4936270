"""Objects that belong to the workflow of this process, so that Kubernetes deletes them with it."""

from contextlib import suppress

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, Resource


def create(client: Client, kind: Resource, manifest: Object) -> None:
    """Create an object in the benchmark's namespace. One of that name stays: this call may be a repetition."""
    owner = client.owner_reference
    owned = {**manifest["metadata"], **({"ownerReferences": [owner]} if owner else {})}
    with suppress(ConflictError):
        client.create(kind, {**manifest, "metadata": owned}, BENCHMARK)


def is_own(client: Client, found: Object) -> bool:
    """Whether an object belongs to this workflow and no other, with which it would be deleted."""
    owners = {each.get("uid") for each in found["metadata"].get("ownerReferences") or []}
    return owners == ({client.owner_reference["uid"]} if client.owner_reference else set())
