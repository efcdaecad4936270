"""The actions of a switch, each with a description and an equivalent kubectl command. Pure."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from steps.cluster.kube.api import fields
from steps.cluster.kube.api.fields import Ref, Value
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import KUBE_PROXY, KUBE_SYSTEM
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.inventory.objects import CALICO_NODE

AwaitedCondition = Literal[
    "kube-proxy parked",
    "kube-proxy rolled out",
    "Installation seen",
    "calico-node rolled out",
    "Felix on eBPF",
    "Felix off eBPF",
    "Calico available",
]


@dataclass(frozen=True, slots=True)
class Write:
    """Set fields of one object by a merge patch. `before`: their values when this was planned."""

    ref: Ref
    values: Mapping[tuple[str, ...], Value]
    before: Mapping[tuple[str, ...], Value]


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object."""

    ref: Ref
    body: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class RestartKubeProxy:
    """Delete kube-proxy's pods that are older than its configuration."""


@dataclass(frozen=True, slots=True)
class AwaitRollout:
    """Wait for a condition."""

    condition: AwaitedCondition


Action = Write | Create | Delete | RestartKubeProxy | AwaitRollout


def kubectl_command(action: Action, facts: Facts) -> str:
    """The kubectl command equivalent to an action."""
    if isinstance(action, Write):
        return fields.patch_command(action.ref, action.values)
    if isinstance(action, Create):
        return fields.create_command(action.ref, action.body)
    if isinstance(action, Delete):
        return f"kubectl {action.ref.kubectl.format(verb='delete')}"
    selector = shlex.quote(facts.kube_proxy_labels)
    if isinstance(action, RestartKubeProxy):
        return f"kubectl -n {KUBE_SYSTEM} delete pods -l {selector}"
    agents = f"-n {facts.calico_namespace} -l {shlex.quote(facts.agent_labels)} -c {CALICO_NODE}"
    started = f"kubectl logs {agents} --prefix --since=60s | grep 'Completed first update to dataplane'"
    return {
        "kube-proxy parked": f"kubectl -n {KUBE_SYSTEM} wait --for=delete pods -l {selector} --timeout=120s",
        "kube-proxy rolled out": f"kubectl -n {KUBE_SYSTEM} rollout status daemonset/{KUBE_PROXY}",
        "Installation seen": "kubectl get tigerastatus calico -o jsonpath='{.status.conditions[*].observedGeneration}'",
        "calico-node rolled out": f"kubectl -n {facts.calico_namespace} rollout status daemonset/{facts.agent}",
        "Felix on eBPF": started,
        "Felix off eBPF": started,
        "Calico available": "kubectl wait --for=condition=Available tigerastatus/calico",
    }[action.condition]


def describe_action(action: Action) -> str:
    """An action in words."""
    if isinstance(action, Write):
        return f"{action.ref}: {fields.described(action.values.items())}"
    if isinstance(action, Create):
        return f"{action.ref}: created"
    if isinstance(action, Delete):
        return f"{action.ref}: deleted"
    if isinstance(action, RestartKubeProxy):
        return "kube-proxy's pods restarted"
    return f"waited for: {action.condition}"
