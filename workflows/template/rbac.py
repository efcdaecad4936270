"""RBAC for the steps: exactly the calls that the code makes, rendered from the table of permissions.

Three accounts, so that few pods may patch Calico: `switch` runs preflight, configure, retreat and restore; `observe`
runs the other steps that call the API server; `measure`, which may not call it, runs the rest.
"""

from collections.abc import Iterable
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, CLUSTER, OPERATOR_NAMESPACES, PERMISSIONS, Permission, Role
from steps.tasks.shared.pod import ACCOUNTS

SWITCH: Final = ACCOUNTS["switch"]
OBSERVE: Final = ACCOUNTS["observe"]
MEASURE: Final = ACCOUNTS["measure"]

_ROLES: Final[tuple[tuple[Role, str], ...]] = (("switch", SWITCH), ("observe", OBSERVE))
_GROUP: Final = "rbac.authorization.k8s.io"
_LABELS: Final = {"app.kubernetes.io/name": "dataplane-benchmark"}
_ARGO: Final = {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
"""What Argo's executor needs in each step's pod."""


def build_rbac(*, operator: bool = False, namespace: str | None = None) -> Object:
    """Kubernetes' List of the accounts, roles and bindings.

    `operator`: only what belongs in the operator's own namespaces, or only the rest: these namespaces do not exist
    where Calico was installed by manifest, and nothing can be applied to them. `namespace`: the one that the workflow
    runs in; None leaves it open, for kustomize to fill in.
    """
    accounts = (SWITCH, OBSERVE, MEASURE)
    items: list[Object] = []
    if not operator:
        kind = {"apiVersion": "v1", "kind": "ServiceAccount"}
        items += [{**kind, "metadata": _metadata(name, namespace)} for name in accounts]
        items += _role("dataplane-benchmark-executor", BENCHMARK, [_ARGO], accounts, namespace)
    for role, account in _ROLES:
        own = [entry for entry in PERMISSIONS if role in entry.roles]
        for place in dict.fromkeys(entry.namespace for entry in own):
            if (place in OPERATOR_NAMESPACES) == operator:
                # Kustomize takes an absent namespace and namespace default for the same, so the name says where.
                name = account if place in {CLUSTER, BENCHMARK} else f"{account}-in-{place}"
                rules = _rules(entry for entry in own if entry.namespace == place)
                items += _role(name, place, rules, (account,), namespace)
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _role(
    name: str, place: str | None, rules: list[Object], accounts: tuple[str, ...], own: str | None
) -> tuple[Object, Object]:
    kind = "ClusterRole" if place is CLUSTER else "Role"
    metadata = _metadata(name, own if place == BENCHMARK else place)
    subject = {"kind": "ServiceAccount", **({"namespace": own} if own else {})}
    return (
        {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": name},
            "subjects": [{**subject, "name": account} for account in accounts],
        },
    )


def _rules(entries: Iterable[Permission]) -> list[Object]:
    """The entries as rules; those that differ only in their verb become one."""
    verbs: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for entry in entries:
        verbs.setdefault((entry.resource.group, entry.plural, entry.names), []).append(entry.verb)
    return [
        {
            "apiGroups": [group],
            "resources": [plural],
            **({"resourceNames": list(names)} if names else {}),
            "verbs": list(dict.fromkeys(each)),
        }
        for (group, plural, names), each in verbs.items()
    ]


def _metadata(name: str, namespace: str | None) -> Object:
    return {"name": name, **({"namespace": namespace} if namespace else {}), "labels": dict(_LABELS)}
