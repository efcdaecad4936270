"""Why a cluster is unavailable as a whole: missing permissions, and another holder of the lock. Pure."""

from collections.abc import Iterable

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import BENCHMARK, KUBE_SYSTEM, STATE, Permission
from steps.cluster.kube.findings import stop
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.lock import HeldLock
from steps.domain import LEFT_BEHIND, PERMISSIONS, Finding
from steps.settings import environment


def missing_permissions(client: Client, denied: Iterable[Permission], image: str) -> list[Finding]:
    """A finding for each missing permission. `image`: of the steps; empty: unknown."""
    command = client.make("deploy", IMAGE=image)
    remedy = f"Have an administrator deploy again with the flags of the first time: `{command} ...`."
    return [
        Finding(severity="stop", subject=PERMISSIONS, reason=_denied(entry, client.namespace), remedy=remedy)
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


def with_context(finding: Finding, context: str) -> Finding:
    """A finding whose commands name the cluster's context."""
    texts = {"reason": environment.with_context(finding.reason, context)}
    if finding.remedy:
        texts["remedy"] = environment.with_context(finding.remedy, context)
    return finding.model_copy(update=texts)


def lock_finding(client: Client, holder: HeldLock, *, alive: bool | None) -> Finding:
    """Another holds the cluster. `alive`: whether that run is running; None: unknown."""
    if alive is False:
        return Finding(
            severity="warn",
            subject=LEFT_BEHIND,
            reason=f"{client.where} is as {holder.owner}, which ended before it could restore, left it at "
            f"{holder.taken_at}.",
            remedy=f"The next run restores it first; `{client.restore_command}` does it now.",
        )
    remedy = f"See `{client.kubectl} -n {KUBE_SYSTEM} get configmap {STATE} -o yaml` for the holder."
    return stop(lock.held_by_another(client, holder), remedy)
