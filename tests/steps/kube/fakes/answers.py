"""What a Kubernetes API server answers, as bodies: the words are a real one's, and api_contract/ tests them."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str, str, str]
"""Group, plural, namespace (empty for the cluster's) and name."""


@dataclass
class Answer:
    """One HTTP answer; `watch` is set where the body is a stream of events from that version on."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    watch: "Watch | None" = None


@dataclass(frozen=True)
class Watch:
    """What a watch follows."""

    group: str
    plural: str
    namespace: str
    selects: Callable[[Object], bool]
    version: int
    timeout_s: float


@dataclass(frozen=True)
class Request:
    """One request as it came in; `verb` as RBAC calls it."""

    verb: str
    group: str
    plural: str
    namespace: str
    name: str
    sub: str


def of_json(status: int, body: Object) -> Answer:
    return Answer(status, json.dumps(body).encode())


def refusal(code: int, reason: str, message: str, **details: object) -> Answer:
    """A Status; without a reason where that is empty."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return of_json(code, {**body, **({"reason": reason} if reason else {}), "details": details})


def _called(group: str, plural: str, name: str = "") -> str:
    return (f"{plural}.{group}" if group else plural) + (f' "{name}"' if name else "")


def _details(group: str, kind: str, name: str) -> dict[str, object]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def missing(key: Key) -> Answer:
    group, plural, _, name = key
    return refusal(404, "NotFound", f"{_called(group, plural, name)} not found", **_details(group, plural, name))


def exists(key: Key) -> Answer:
    group, plural, _, name = key
    text = f"{_called(group, plural, name)} already exists"
    return refusal(409, "AlreadyExists", text, **_details(group, plural, name))


def unknown(*, group_is_served: bool) -> Answer:
    """Of a kind that is not served."""
    if not group_is_served:
        return Answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})
    return refusal(404, "NotFound", "the server could not find the requested resource")


def forbidden(request: Request, name: str) -> Answer:
    """By RBAC. `name`: as the path has it."""
    where = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    resource = f"{request.plural}/{request.sub}" if request.sub else request.plural
    text = (
        f'{_called(request.group, request.plural, name)} is forbidden: User "test" cannot {request.verb} resource '
        f'"{resource}" in API group "{request.group}" {where}'
    )
    return refusal(403, "Forbidden", text, **_details(request.group, request.plural, name))


def invalid(key: Key, kind: str, path: str, value: str, why: str) -> Answer:
    text = f'{kind} "{key[3]}" is invalid: {path}: Invalid value: "{value}": {why}'
    return refusal(422, "Invalid", text, **_details(key[0], kind, key[3]))


def modified(key: Key) -> Answer:
    """A patch is of a version that is past."""
    group, plural, _, name = key
    text = (
        f"Operation cannot be fulfilled on {_called(group, plural, name)}: the object has been modified; please apply "
        "your changes to the latest version and try again"
    )
    return refusal(409, "Conflict", text, **_details(group, plural, name))


def another(key: Key, kind: str, wanted: str, uid: str) -> Answer:
    """A deletion is of another object."""
    return _unmet(key, kind, "UID", (wanted, uid), "deleted and then recreated")


def other_version(key: Key, kind: str, wanted: str, version: str) -> Answer:
    """A deletion is of a version that is past."""
    return _unmet(key, kind, "ResourceVersion", (wanted, version), "modified")


def _unmet(key: Key, kind: str, what: str, values: tuple[str, str], perhaps: str) -> Answer:
    """A precondition of a deletion does not hold; the values are the wanted one and the object's."""
    text = (
        f'Operation cannot be fulfilled on {kind} "{key[3]}": the {what} in the precondition ({values[0]}) does not '
        f"match the {what} in record ({values[1]}). The object might have been {perhaps}"
    )
    return refusal(409, "Conflict", text, name=key[3], kind=kind)


def unsupported(*, custom: bool) -> Answer:
    """A kind of patch that there is not; custom resources have no strategic one."""
    text = "415: Unsupported Media Type"
    if custom:
        text = (
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        )
    return refusal(415, "UnsupportedMediaType", text)


def applied_by_others(conflicts: Iterable[tuple[str, str]], api_version: str) -> Answer:
    """Server-side apply found that other managers own these fields: each manager with a field."""
    found = [*conflicts]
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}" using {api_version}', "field": path}
        for manager, path in found
    ]
    each = ", ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    text = f"Apply failed with {len(found)} conflict{'s' if len(found) > 1 else ''}: {each}"
    return refusal(409, "Conflict", text, causes=causes)


def deleted(key: Key, uid: str) -> Answer:
    details = {**_details(key[0], key[1], key[3]), "uid": uid}
    return of_json(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
