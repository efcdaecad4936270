"""The guard's sweep: pods and Services of a run that died before it held the lock, such as in its preflight.

What a run leaves that held the lock is put back with the cluster. By the standard library alone, as the lock's check
is.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from steps.lease import DEPLOYED_PART, PART, PART_LABEL
from steps.tasks.guarding.guard_lock import PodApi, runs

Object = dict[str, Any]

_SELECTOR: Final = quote(
    f"app.kubernetes.io/name=dataplane-benchmark,{PART_LABEL},{PART_LABEL} notin ({PART},{DEPLOYED_PART})", safe=""
)
"""Of all parts of runs; the pods of steps are no part, and stay with their logs."""

_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json"


def sweep(api: PodApi) -> list[str]:
    """Delete what belongs to workflows that have ended or are gone; the names, such as `pods check-0`.

    Raises:
        GuardApiError: the API server can't be asked, or refuses.
    """
    dead: dict[str, bool] = {}
    swept = []
    for plural in ("pods", "services"):
        path = f"/api/v1/namespaces/{api.namespace}/{plural}"
        for found in (api.get(f"{path}?labelSelector={_SELECTOR}", _METADATA) or {}).get("items") or []:
            metadata = found["metadata"]
            owners = dict(_workflows(metadata))
            for uid in owners.keys() - dead.keys():
                dead[uid] = not runs(api, owners[uid], uid)
            if owners and all(dead[uid] for uid in owners) and not metadata.get("deletionTimestamp"):
                api.delete(f"{path}/{quote(metadata['name'], safe='')}", metadata["uid"])
                swept.append(f"{plural} {metadata['name']}")
    return swept


def _workflows(metadata: Object) -> Iterator[tuple[str, str]]:
    """The workflows that an object belongs to, by uid and name."""
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("kind") == "Workflow" and isinstance(owner.get("name"), str):
            yield str(owner.get("uid")), owner["name"]
