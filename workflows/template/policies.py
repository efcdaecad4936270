"""ValidatingAdmissionPolicies as objects, and the CEL expressions that they share."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from steps.cluster.kube.workloads.manifests import NAME, NAMED
from steps.tasks._pod import ACCOUNTS

Object = dict[str, Any]

_ADMISSION: Final = "admissionregistration.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression that must be true, and the sentence for the user where it is not."""

    expression: str
    message: str

    def to_dict(self) -> Object:
        """As a policy has it."""
        return {"expression": self.expression, "message": self.message}


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
                "validations": [rule.to_dict() for rule in rules],
            },
        },
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": name, "validationActions": ["Deny"], **match},
        },
    )


def on(operations: str, *plurals: str) -> Object:
    """Operations on kinds of the core group."""
    return {"apiGroups": [""], "apiVersions": ["v1"], "operations": operations.split(), "resources": list(plurals)}


BY_ACCOUNT: Final = (
    f"request.userInfo.username.matches('^system:serviceaccount:[^:]+:({'|'.join(ACCOUNTS.values())})$')"
)
STEP: Final = f"has(object.spec.serviceAccountName) && object.spec.serviceAccountName in {cel_list(ACCOUNTS.values())}"
LABELLED: Final = (
    f"has({{0}}.metadata.labels) && '{NAME}' in {{0}}.metadata.labels && {{0}}.metadata.labels['{NAME}'] == '{NAMED}'"
)
NEW: Final = "request.operation == 'CREATE' || object.spec != oldObject.spec"
"""Labels and annotations of a running pod may change: Argo's controller notes there that it has read it."""
