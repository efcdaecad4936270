"""Try every write of a switch before the first one: the API server judges each (`dryRun=All`) and keeps nothing.

What a plan names may be absent, forbidden to this account, or refused by admission. Found out half-way, kube-proxy is
parked by then; found out here, nothing has happened.
"""

from collections.abc import Iterable
from typing import Any, Final

from analysis import formatting
from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import NO_DRY_RUN, ConflictError, TransientError
from steps.cluster.kube.api.fields import Ref, merge_patch, read_field
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, PODS, TIGERA_STATUSES
from steps.cluster.kube.calico.actions import Action, AwaitRollout, Create, Delete, RestartKubeProxy, Write
from steps.cluster.kube.calico.facts import Facts
from steps.cluster.kube.findings import NO_COMMAND

Object = dict[str, Any]

_ALLOW: Final = "Until that is mended, leave this dataplane out."
_CALICO_NODE_MAKES: Final = "FelixConfiguration"
_OPERATOR: Final = "Look at the operator: `kubectl -n tigera-operator get pods`."


def refusals(client: Client, facts: Facts, pods: Iterable[Object], todo: list[Action]) -> list[tuple[str, str]]:
    """Why actions of a plan would fail, each with what would mend it; empty: all of them may be begun.

    Args:
        client: of the cluster.
        facts: of it.
        pods: kube-proxy's.
        todo: the plan.

    Raises:
        TransientError: the API can't be reached.
    """
    found: list[tuple[str, str]] = []
    present = list(pods)
    for action in todo:
        try:
            found += _refused(client, facts, present, action)
        except TransientError:
            raise
        except ConflictError:
            continue  # somebody is at it this moment; carrying out reads it again
        except Problem as problem:
            if NO_DRY_RUN not in str(problem):
                found.append((str(problem).removeprefix(f"{client.where}: ").rstrip("."), _ALLOW))
    return list(dict.fromkeys(found))


def dry_run_writes(client: Client, facts: Facts, pods: Iterable[Object], todo: list[Action]) -> None:
    """Try a plan.

    Raises:
        Unsupported: an action would fail. Nothing was changed.
    """
    if reasons := refusals(client, facts, pods, todo):
        sentences = " ".join(formatting.sentences(reason, remedy) for reason, remedy in reasons)
        raise Unsupported(f"{client.where} was left as it is, since switching it would fail half-way: {sentences}")


def _refused(client: Client, facts: Facts, pods: list[Object], action: Action) -> list[tuple[str, str]]:
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
        return [("there is no TigeraStatus calico, by which the operator says that it is done", _OPERATOR)]
    return []


def _unwritable(client: Client, facts: Facts, action: Write) -> list[tuple[str, str]]:
    ref = action.ref
    if client.get(ref.resource, ref.name, ref.namespace) is None:
        return [(f"{ref} is not there", _remedy(facts, ref))]
    answer = client.patch(ref.resource, ref.name, merge_patch(action.values), ref.namespace, dry_run=True)
    wanted = {path: value for path, value in action.values.items() if value is not None}
    lost = [".".join(path) for path, value in wanted.items() if read_field(answer, path) != value]
    if not lost:
        return []
    reason = f"{ref} would not keep {', '.join(lost)}: the API server takes it and drops or changes it"
    return [(reason, f"{NO_COMMAND} look for a webhook that does, or for a definition older than Calico.")]


def _remedy(facts: Facts, ref: Ref) -> str:
    if ref.resource.kind == _CALICO_NODE_MAKES:
        restart = f"kubectl -n {facts.calico_namespace} rollout restart daemonset/{facts.agent}"
        return f"Let calico-node make it, as it does when it starts: `{restart}`."
    return f"Bring it back: `kubectl {ref.kubectl.format(verb='get')}` shows when it is."
