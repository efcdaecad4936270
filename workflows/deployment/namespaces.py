"""The namespace of a deployment: one of its own where Argo's controller watches it."""

from dataclasses import dataclass
from typing import Final

from analysis.errors import Unsupported
from steps.cluster.kube.api.denials import ENFORCED, POD_SECURITY
from steps.cluster.kube.api.errors import DeniedError
from steps.cluster.kube.ownership.lock import find_lock
from steps.settings.environment import with_context
from steps.tasks.shared.pod import ACCOUNTS
from workflows.deployment.argo import Argo
from workflows.deployment.user_client import (
    CLUSTER_ROLE_BINDINGS,
    NAMESPACES,
    WORKFLOW_TEMPLATES,
    UserClient,
    is_deployed,
)
from workflows.template.benchmark import NAME

OWN: Final = "dataplane-benchmark"
"""The default: a pod may use every service account and Secret of its namespace, so here are the benchmark's only."""

_PRIVILEGED: Final = "privileged"

_EARLIER: Final = "argo"
"""The default of earlier versions."""


@dataclass(frozen=True, slots=True)
class ChosenNamespace:
    """Where a deployment goes. `owned`: whether the deployment creates, or has created, it. `notes`: for the user."""

    name: str
    owned: bool
    notes: tuple[str, ...] = ()


def choose_namespace(client: UserClient, found: Argo, wanted: str) -> ChosenNamespace:
    """The namespace that is wanted, or else that of an earlier deployment, the only one that Argo watches, or OWN.

    One benchmark per cluster: it switches the one network, and the cluster-wide roles have fixed names.

    Raises:
        Unsupported: the benchmark is deployed in another namespace, Argo does not watch this one, or it admits no pod
            in the nodes' own network.
    """
    deployed = _bound_namespace(client)
    if wanted and deployed not in {"", wanted}:
        raise Unsupported(
            f"{client.where} has the benchmark in namespace {deployed}: deploy with NAMESPACE={deployed}, or delete "
            f"that one first by `{client.make('undeploy', NAMESPACE=deployed)}`."
        )
    name = wanted or deployed or found.watches or OWN
    if found.watches not in {None, name}:
        raise Unsupported(
            f"Argo's controller in namespace {found.namespace} watches namespace {found.watches} only, not {name}: "
            f"deploy with NAMESPACE={found.watches}."
        )
    there = client.get(NAMESPACES, name)
    labels = there["metadata"].get("labels") or {} if there is not None else {}
    owned = there is None or is_deployed(there)
    if not owned and (level := labels.get(ENFORCED, _PRIVILEGED)) != _PRIVILEGED:
        raise Unsupported(with_context(POD_SECURITY.format(namespace=name, level=level), client.context))
    return ChosenNamespace(name, owned, () if owned else (_shared(client, name, found),))


def _shared(client: UserClient, name: str, found: Argo) -> str:
    """What it means to share a namespace, and how to have one of its own."""
    whose = " (that of Argo's controller)" if found.version and name == found.namespace else ""
    remedy = (
        "Argo's controller watches no other; one that watches all namespaces lets the benchmark have its own."
        if found.watches
        else f"For one of its own: `{client.make('undeploy', NAMESPACE=name)}`, then `{client.make('deploy')} ...` "
        "with the other flags and without NAMESPACE."
    )
    return (
        f"Namespace {name}{whose} is not the benchmark's alone: its accounts may create pods there, and a pod may use "
        f"every Secret of its namespace unless an admission policy prevents it. {remedy}"
    )


def find_namespace(client: UserClient) -> str:
    """The namespace of the deployment, as far as this user may know; empty: unknown, or there is none.

    Raises:
        Problem: the API server gives no answer, or nothing but a lock that can't be read would tell.
    """
    try:
        if deployed := _bound_namespace(client):
            return deployed
    except DeniedError:
        pass  # most users may not read cluster-wide bindings
    for name in (OWN, _EARLIER):
        try:
            if client.get(WORKFLOW_TEMPLATES, NAME, name) is not None:
                return name
        except DeniedError:
            continue
    try:
        held = find_lock(client)
    except DeniedError:
        return ""
    return (held.owner.namespace or "") if held else ""


def _bound_namespace(client: UserClient) -> str:
    binding = client.get(CLUSTER_ROLE_BINDINGS, ACCOUNTS["switch"])
    return next((str(s["namespace"]) for s in (binding or {}).get("subjects") or [] if s.get("namespace")), "")
