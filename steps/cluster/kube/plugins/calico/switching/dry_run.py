"""Dry-run every write of a switch before the first one (`dryRun=All`).

An object may be absent, forbidden to this account, or refused by admission. A switch that fails half-way leaves
kube-proxy parked; a failed dry run changes nothing.
"""

from collections.abc import Sequence
from typing import Final

from analysis import formatting
from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import NO_DRY_RUN, ConflictError, TransientError
from steps.cluster.kube.api.fields import Ref, merge_patch, read_field
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, PODS, TIGERA_STATUSES
from steps.cluster.kube.findings import NO_COMMAND
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.switching.actions import (
    Action,
    AwaitRollout,
    Create,
    Delete,
    RestartKubeProxy,
    Write,
)

_ALLOW: Final = "Until that is fixed, leave this dataplane out."
_OPERATOR: Final = "Check the operator: `kubectl -n tigera-operator get pods`."


def refusals(client: Client, facts: Facts, pods: Sequence[Object], plan: list[Action]) -> list[tuple[str, str]]:
    """The reasons why actions of a plan would fail, each with a remedy.

    `pods`: kube-proxy's.

    Raises:
        TransientError: the API can't be reached.
    """
    found: list[tuple[str, str]] = []
    for action in plan:
        try:
            found += _refused(client, facts, pods, action)
        except TransientError:
            raise
        except ConflictError:
            continue  # a concurrent change; the execution reads the object again
        except Problem as problem:
            if NO_DRY_RUN not in str(problem):
                found.append((str(problem).removeprefix(f"{client.where}: ").rstrip("."), _ALLOW))
    return list(dict.fromkeys(found))


def dry_run_writes(client: Client, facts: Facts, pods: Sequence[Object], plan: list[Action]) -> None:
    """Dry-run a plan.

    Raises:
        Unsupported: an action would fail. Nothing was changed.
    """
    if reasons := refusals(client, facts, pods, plan):
        sentences = " ".join(formatting.sentences(reason, remedy) for reason, remedy in reasons)
        raise Unsupported(f"{client.where} was not changed, since the switch would fail half-way: {sentences}")


def _refused(client: Client, facts: Facts, pods: Sequence[Object], action: Action) -> list[tuple[str, str]]:
    if isinstance(action, Write):
        return _unwritable(client, facts, action)
    if isinstance(action, Create):
        client.create(action.ref.resource, action.body, action.ref.namespace, dry_run=True)
    elif isinstance(action, Delete):
        client.delete(action.ref.resource, action.ref.name, action.ref.namespace, dry_run=True)
    elif isinstance(action, RestartKubeProxy):
        for pod in pods[:1]:
            client.delete(PODS, pod["metadata"]["name"], KUBE_SYSTEM, dry_run=True)
    elif action == AwaitRollout("Calico available") and client.get(TIGERA_STATUSES, "calico") is None:
        return [("there is no TigeraStatus calico, in which the operator reports that Calico is available", _OPERATOR)]
    return []


def _unwritable(client: Client, facts: Facts, action: Write) -> list[tuple[str, str]]:
    ref = action.ref
    if client.get(ref.resource, ref.name, ref.namespace) is None:
        return [(f"{ref} is missing", _remedy(facts, ref))]
    answer = client.patch(ref.resource, ref.name, merge_patch(action.values), ref.namespace, dry_run=True)
    wanted = {path: value for path, value in action.values.items() if value is not None}
    lost = [".".join(path) for path, value in wanted.items() if read_field(answer, path) != value]
    if not lost:
        return []
    reason = f"{ref} would not keep {', '.join(lost)}: the API server accepts the patch and drops or changes it"
    return [
        (reason, f"{NO_COMMAND} look for a webhook that does so, or for a CustomResourceDefinition older than Calico.")
    ]


def _remedy(facts: Facts, ref: Ref) -> str:
    if ref.resource.kind == "FelixConfiguration":
        restart = f"kubectl -n {facts.calico_namespace} rollout restart daemonset/{facts.agent}"
        return f"Restart calico-node, which creates it: `{restart}`."
    return f"Create it again, and check with `kubectl {ref.kubectl.format(verb='get')}`."
