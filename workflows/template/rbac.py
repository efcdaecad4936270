"""RBAC for the steps: exactly what the code calls, rendered from the one table of permissions.

Three accounts, so that what may patch Calico is held by as few pods as possible: `switch` by configure, restore and
preflight; `observe` by the other steps that ask the cluster; `measure`, which may ask it nothing, by all the rest.
"""

from collections.abc import Iterable
from typing import Any, Final

from steps.cluster.kube.api.permissions import BENCHMARK, CLUSTER, OPERATOR_NAMESPACES, PERMISSIONS, Permission, Role
from steps.tasks._pod import ACCOUNTS

Object = dict[str, Any]

SWITCH: Final = ACCOUNTS["switch"]
OBSERVE: Final = ACCOUNTS["observe"]
MEASURE: Final = ACCOUNTS["measure"]

_ROLES: Final[tuple[tuple[Role, str], ...]] = (("switch", SWITCH), ("observe", OBSERVE))
_GROUP: Final = "rbac.authorization.k8s.io"
_LABELS: Final = {"app.kubernetes.io/name": "dataplane-benchmark"}
_ARGO: Final = {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
"""What Argo's executor needs beside each step, whatever the step does."""


class Rbac:
    """Kubernetes' List of the accounts, roles and bindings.

    Args:
        operator: only what belongs into the operator's own namespaces, or only the rest: these namespaces are absent
            where Calico was installed by manifest, and nothing can be applied to them.
        namespace: the one that the workflow runs in; None leaves it open, for kustomize to fill in.
    """

    def __init__(self, *, operator: bool, namespace: str | None = None) -> None:
        self._operator = operator
        self._namespace = namespace

    def to_dict(self) -> Object:
        """As kubectl applies it."""
        items = self._in_operators_namespaces() if self._operator else self._everywhere_else()
        return {"apiVersion": "v1", "kind": "List", "items": items}

    def _everywhere_else(self) -> list[Object]:
        items = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(name, self._namespace)}
            for name in (SWITCH, OBSERVE, MEASURE)
        ]
        items += self._role("dataplane-benchmark-executor", BENCHMARK, [_ARGO], (SWITCH, OBSERVE, MEASURE))
        for role, account in _ROLES:
            own = [entry for entry in PERMISSIONS if role in entry.roles]
            for namespace in _namespaces(own):
                if namespace not in OPERATOR_NAMESPACES:
                    there = [entry for entry in own if entry.namespace == namespace]
                    items += self._role(_named(account, namespace), namespace, _rules(there), (account,))
        return items

    def _in_operators_namespaces(self) -> list[Object]:
        items = []
        for role, account in _ROLES:
            for namespace in sorted(OPERATOR_NAMESPACES):
                there = [entry for entry in PERMISSIONS if role in entry.roles and entry.namespace == namespace]
                name = _named(account, namespace)
                items += self._role(name, namespace, _rules(there), (account,)) if there else []
        return items

    def _role(self, name: str, namespace: str | None, rules: list[Object], accounts: tuple[str, ...]) -> list[Object]:
        kind = "ClusterRole" if namespace is CLUSTER else "Role"
        metadata = _meta(name, self._real(namespace))
        own = {"namespace": self._namespace} if self._namespace else {}
        return [
            {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, "rules": rules},
            {
                "apiVersion": f"{_GROUP}/v1",
                "kind": f"{kind}Binding",
                "metadata": metadata,
                "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": account, **own} for account in accounts],
            },
        ]

    def _real(self, namespace: str | None) -> str | None:
        return self._namespace if namespace == BENCHMARK else namespace


def _named(account: str, namespace: str | None) -> str:
    """A role's name: it says where, since kustomize takes no namespace and namespace default for the same."""
    return account if namespace in {CLUSTER, BENCHMARK} else f"{account}-in-{namespace}"


def _namespaces(entries: Iterable[Permission]) -> list[str | None]:
    return list(dict.fromkeys(entry.namespace for entry in entries))


def _rules(entries: Iterable[Permission]) -> list[Object]:
    """The entries as rules; those that differ in their verb alone are one."""
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


def _meta(name: str, namespace: str | None) -> Object:
    return {"name": name, **({"namespace": namespace} if namespace else {}), "labels": dict(_LABELS)}


def build_rbac() -> Rbac:
    """For every cluster."""
    return Rbac(operator=False)


def build_operator() -> Rbac:
    """For clusters whose Calico the Tigera operator installed, beside the other."""
    return Rbac(operator=True)
