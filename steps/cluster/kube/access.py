"""Why a cluster may not be used at all: rights that are wanting, and somebody else who holds it. Pure."""

from collections.abc import Iterable

from steps.cluster.kube import lock
from steps.cluster.kube.api.permissions import BENCHMARK, KUBE_SYSTEM, STATE, Permission
from steps.cluster.kube.findings import stop
from steps.cluster.kube.lock import HeldLock
from steps.domain import Finding


def missing_permissions(denied: Iterable[Permission], namespace: str) -> list[Finding]:
    """A finding for each thing that the cluster doesn't let us do."""
    remedy = "Have an administrator type `make deploy`, or `kubectl apply -k workflows/manifests`."
    return [
        Finding(severity="stop", subject="permissions", reason=_denied(entry, namespace), remedy=remedy)
        for entry in denied
    ]


def _denied(entry: Permission, namespace: str) -> str:
    place = namespace if entry.namespace == BENCHMARK else entry.namespace
    parts = [
        f"may not {entry.verb} {entry.plural}",
        f" in API group {entry.resource.group}" if entry.resource.group else "",
        f" named {', '.join(entry.names)}" if entry.names else "",
        f" in namespace {place}" if place else "",
    ]
    return "".join(parts) + "."


def lock_finding(where: str, holder: HeldLock, *, alive: bool | None) -> Finding:
    """Somebody else holds the cluster. `alive`: whether they are at work, where that can be told."""
    if alive is False:
        return stop(
            f"{where} is as {holder.owner} left it at {holder.taken_at}: that run was killed before it could restore.",
            f"Type `python -m workflows restore --environment {where}`; a workflow that stops here does it at its end.",
        )
    remedy = f"Who it is, says `kubectl -n {KUBE_SYSTEM} get configmap {STATE} -o yaml`."
    return stop(lock.held_by_another(where, holder), remedy)
