"""The calls of the benchmark's accounts in an API server's audit log, reduced to what RBAC decides on."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from steps.cluster.kube.api.permissions import BENCHMARK, CLUSTER
from steps.tasks.shared.pod import ACCOUNTS

_UNNAMED = frozenset({"pods", "services", "workflows", "workflowtaskresults"})
"""Kinds whose names differ from run to run."""

_ROLES = {account: role for role, account in ACCOUNTS.items()}
_REFUSED = 403


class Call(NamedTuple):
    """One kind of call. `path` is of a call that concerns no resource, such as /version."""

    role: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str | None
    name: str
    path: str
    refused: bool


def calls(lines: Iterable[str]) -> list[Call]:
    """The different calls in an audit log of level Metadata: a JSON object a line, of policy audit.k8s.io/v1."""
    found = set()
    for line in lines:
        event = json.loads(line)
        user = event["user"]["username"].split(":")
        role = _ROLES.get(user[-1])
        if role is None or user[:2] != ["system", "serviceaccount"] or event["stage"] == "RequestReceived":
            continue
        about = event.get("objectRef") or {}
        where = about.get("namespace") or CLUSTER
        resource = about.get("resource", "")
        found.add(
            Call(
                role=role,
                verb=event["verb"],
                group=about.get("apiGroup", ""),
                resource=resource,
                subresource=about.get("subresource", ""),
                namespace=BENCHMARK if where == user[2] else where,
                name="" if resource in _UNNAMED else about.get("name", ""),
                path="" if resource else event["requestURI"].partition("?")[0],
                refused=(event.get("responseStatus") or {}).get("code") == _REFUSED,
            )
        )
    return sorted(found, key=lambda call: tuple(map(str, call)))


def dump(found: Iterable[Call]) -> str:
    """As the recording keeps them: an array a line."""
    return "".join(json.dumps(call) + "\n" for call in found)


def load(text: str) -> list[Call]:
    """The calls of a recording."""
    return [Call(*json.loads(line)) for line in text.splitlines()]
