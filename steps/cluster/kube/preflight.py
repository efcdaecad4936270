"""All reasons why a run, a dataplane or a topology is unavailable on a cluster. Leaves no changes."""

from collections.abc import Callable, Iterable
from typing import Any

from analysis.errors import Problem
from steps.catalogue.dataplanes import Arm
from steps.catalogue.options import Settings
from steps.cluster.kube.api import nodes, permissions
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import BENCHMARK, KUBE_SYSTEM, STATE, Permission
from steps.cluster.kube.cni import Cni, Surroundings
from steps.cluster.kube.findings import stop
from steps.cluster.kube.ownership import lock, takeover
from steps.cluster.kube.ownership.lock import HeldLock
from steps.cluster.kube.servers import server_findings
from steps.domain import LEFT_BEHIND, PERMISSIONS, Finding
from steps.settings import environment as names


def findings(around: Surroundings, choose_cni: Callable[[], Cni[Any]], settings: Settings) -> list[Finding]:
    """What prevents these settings here, wholly or in part.

    `choose_cni` returns the cluster's network plugin, and is called only if the cluster may be read.
    """
    client, variables = around.client, around.variables
    needed = [
        each for each in permissions.relevant(permissions.PERMISSIONS, client.groups()) if permissions.is_needed(each)
    ]
    denied = [entry for entry in needed if "switch" in entry.roles and not client.allows(entry)]
    found = missing_permissions(client, denied, variables.get(names.IMAGE, "").strip())
    if any(entry.verb in {"get", "list"} for entry in denied):
        return found  # the rest can't be judged without reading
    held = lock.find_lock(client)
    if (others := held is not None and held.owner != around.owner) and held is not None:
        found.append(lock_finding(client, held, alive=takeover.holder_is_alive(client, held)))
    cni = choose_cni()
    standing = cni.stand(to_switch=True)
    accepted = frozenset(variables.get(names.ACCEPT, "").replace(" ", "").split(","))
    found += cni.findings(standing, settings, accepted)
    left_out = {finding.subject for finding in found if finding.severity == "skip"}
    if not others and not denied:
        dataplanes = [arm for arm in settings.dataplanes if Arm.parse(arm).name not in left_out]
        found += cni.rehearsed(standing, dataplanes, held.snapshot if held is not None else None)
    # pods of ours would disturb another run
    if not others and not any(entry.namespace == BENCHMARK for entry in denied):
        try:
            chosen = nodes.choose_nodes(standing.nodes, around.asked_nodes)
        except Problem:
            return found  # a finding names the reason already
        found += server_findings.findings(client, standing, chosen, settings, variables=variables)
    return found


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
    texts = {"reason": names.with_context(finding.reason, context)}
    if finding.remedy:
        texts["remedy"] = names.with_context(finding.remedy, context)
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
