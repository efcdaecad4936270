"""ValidatingAdmissionPolicies as objects, and the CEL expressions that they share."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads.manifests import NAME, NAMED
from steps.tasks.shared.pod import ACCOUNTS

_ADMISSION: Final = "admissionregistration.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression that must be true, and the sentence for the user where it is not."""

    expression: str
    message: str


def cel_list(values: Iterable[str]) -> str:
    """A list of texts as CEL writes it."""
    return json.dumps(list(values))


def build_policy(
    name: str,
    resources: list[Object],
    conditions: dict[str, str],
    variables: dict[str, str],
    rules: Iterable[Rule],
    selector: Object | None = None,
) -> tuple[Object, Object]:
    """A policy and its binding, which denies."""
    metadata = {"name": name, "labels": {NAME: NAMED}}
    match = {"matchResources": {"namespaceSelector": selector}} if selector else {}
    return (
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata,
            "spec": {
                "variables": [{"name": key, "expression": value} for key, value in variables.items()],
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": resources},
                "matchConditions": [{"name": key, "expression": value} for key, value in conditions.items()],
                "validations": list(map(asdict, rules)),
            },
        },
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": name, "validationActions": ["Deny"], **match},
        },
    )


def unchanged_except(new: str, old: str, permitted: Sequence[tuple[str, ...]]) -> tuple[dict[str, str], list[str]]:
    """Variables and expressions by which two objects differ in no field below their `spec` but the permitted paths.

    `new`, `old`: the expressions of the object after the change and before. `permitted`: paths that begin with `spec`.
    """
    variables = {"new_spec": field(new, "spec"), "old_spec": field(old, "spec")}
    expressions = []
    places = sorted({path[:depth] for path in permitted for depth in range(1, len(path))})
    for place in places:
        after, before = (f"variables.{side}_{'_'.join(place)}" for side in ("new", "old"))
        keys = sorted({path[len(place)] for path in permitted if path[: len(place)] == place})
        names = cel_list(keys)
        expressions += [
            f"{before}.all(k, k in {names} || (k in {after} && {after}[k] == {before}[k]))",
            f"{after}.all(k, k in {names} || k in {before})",
        ]
        for key in (key for key in keys if (*place, key) in places):
            variables[f"new_{'_'.join((*place, key))}"] = field(after, key)
            variables[f"old_{'_'.join((*place, key))}"] = field(before, key)
    return variables, expressions


def field(value: str, key: str) -> str:
    """A field of a value; an empty map where it is absent."""
    return f"'{key}' in dyn({value}) ? dyn({value})['{key}'] : {{}}"


def on(operations: str, plurals: str, group: str = "", version: str = "v1") -> Object:
    """Operations on kinds, and on the subresources that are named, as a policy matches them."""
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": operations.split(),
        "resources": plurals.split(),
    }


POD_CHANGES: Final = on("CREATE UPDATE", "pods pods/ephemeralcontainers")
"""A subresource is matched by its own name only: by that one a container is added to a pod that runs."""


BY_ACCOUNT: Final = (
    f"request.userInfo.username.matches('^system:serviceaccount:[^:]+:({'|'.join(ACCOUNTS.values())})$')"
)
STEP: Final = f"has(object.spec.serviceAccountName) && object.spec.serviceAccountName in {cel_list(ACCOUNTS.values())}"
LABELLED: Final = (
    f"has({{0}}.metadata.labels) && '{NAME}' in {{0}}.metadata.labels && {{0}}.metadata.labels['{NAME}'] == '{NAMED}'"
)
NEW: Final = "request.operation == 'CREATE' || object.spec != oldObject.spec"
"""Labels and annotations of a running pod may change: Argo's controller notes there that it has read it."""
