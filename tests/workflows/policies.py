"""The rendered admission policies, evaluated as an API server would: by Google's CEL, for one request."""

import functools
from typing import Any

import pytest

from workflows.template.admission import build_admission

cel = pytest.importorskip("cel", reason="common-expression-language is not installed, which evaluates CEL")

Object = dict[str, Any]
CONTROLLER = "system:serviceaccount:argo:argo"


@functools.cache
def _policies() -> list[Object]:
    return [item for item in build_admission()["items"] if item["kind"] == "ValidatingAdmissionPolicy"]


@functools.cache
def _program(expression: str) -> Any:  # noqa: ANN401 - of a library without types
    return cel.compile(expression)


def policy(name: str) -> Object:
    """One rendered policy."""
    return next(item for item in _policies() if item["metadata"]["name"] == name)


def refusals(
    name: str,
    new: Object | None,
    *,
    old: Object | None = None,
    user: str = CONTROLLER,
    operation: str = "CREATE",
    namespace: str = "bench",
    images: str = "",
    resource: str = "",
) -> list[str]:
    """Why a policy refuses a request; none: it admits it, or does not apply to it. An error refuses, too.

    `resource`: with its subresource, as a policy matches it; empty: any that the policy covers.
    """
    spec = policy(name)["spec"]
    rules = spec["matchConstraints"]["resourceRules"]
    if resource and not any(operation in rule["operations"] and resource in rule["resources"] for rule in rules):
        return []
    context = cel.Context()
    request = {"operation": operation, "namespace": namespace, "userInfo": {"username": user}}
    for key, value in {"object": new, "oldObject": old, "request": request}.items():
        context.add_variable(key, value)
    if not all(_program(each["expression"]).execute(context) for each in spec["matchConditions"]):
        return []
    variables: Object = {}
    for each in spec["variables"]:
        expression = images if images and each["name"] == "images" else each["expression"]
        context.add_variable("variables", variables)
        variables[each["name"]] = _program(expression).execute(context)
    context.add_variable("variables", variables)
    found = []
    for rule in spec["validations"]:
        try:
            admitted = _program(rule["expression"]).execute(context)
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            found.append(f"{rule['message']} ({error})")
            continue
        found += [] if admitted else [rule["message"]]
    return found
