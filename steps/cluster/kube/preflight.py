"""All reasons why a run, a dataplane or a topology is unavailable on a cluster. Leaves no changes."""

from collections.abc import Callable
from typing import Any

from analysis.errors import Problem
from steps.catalogue.dataplanes import Arm
from steps.catalogue.options import Settings
from steps.cluster.kube import access
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.permissions import BENCHMARK, PERMISSIONS, is_needed, relevant
from steps.cluster.kube.cni import Cni, Surroundings
from steps.cluster.kube.ownership import lock, takeover
from steps.cluster.kube.servers import server_findings
from steps.domain import Finding
from steps.settings import environment as names


def findings(around: Surroundings, choose_cni: Callable[[], Cni[Any]], settings: Settings) -> list[Finding]:
    """What prevents these settings here, wholly or in part.

    Args:
        around: the client, who asks, and the variables of the environment.
        choose_cni: returns the cluster's network plugin; called only if the cluster may be read.
        settings: of the run.
    """
    client, variables = around.client, around.variables
    needed = [entry for entry in relevant(PERMISSIONS, client.groups()) if is_needed(entry)]
    denied = [entry for entry in needed if "switch" in entry.roles and not client.allows(entry)]
    found = access.missing_permissions(client, denied, variables.get(names.IMAGE, "").strip())
    if any(entry.verb in {"get", "list"} for entry in denied):
        return found  # the rest can't be judged without reading
    held = lock.find_lock(client)
    if (others := held is not None and held.owner != around.owner) and held is not None:
        found.append(access.lock_finding(client, held, alive=takeover.holder_is_alive(client, held)))
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
