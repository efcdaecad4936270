"""Requests to the fake API server: their verb, their name, what they select; and times as the server writes them."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

Object = dict[str, Any]


def verb_of(method: str, name: str, query: dict[str, str]) -> str:
    if method == "GET" and not name:
        return "watch" if query.get("watch") == "true" else "list"
    if method == "DELETE" and not name:
        return "deletecollection"
    return {"GET": "get", "POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}[method]


def name_of(body: object) -> str:
    return str((body.get("metadata") or {}).get("name", "")) if isinstance(body, dict) else ""


_IN = re.compile(r"([^\s,!=]+) (in|notin) \(([^)]*)\)")


def selector(query: dict[str, str]) -> Callable[[Object], bool]:
    sets = [(key, verb == "in", values.split(",")) for key, verb, values in _IN.findall(query.get("labelSelector", ""))]
    rest = _IN.sub("", query.get("labelSelector", "")).split(",")
    labels = [pair.split("=", 1) for pair in rest if "=" in pair]
    present = [key for key in rest if key and "=" not in key and not key.startswith("!")]
    absent = [key[1:] for key in rest if key.startswith("!")]
    fields = [pair.split("=", 1) for pair in query.get("fieldSelector", "").split(",") if pair]

    def selects(found: Object) -> bool:
        own = found["metadata"].get("labels") or {}
        return (
            all(own.get(key) == value.lstrip("=") for key, value in labels)
            and all(key in own for key in present)
            and not any(key in own for key in absent)
            and all((own.get(key) in values) == chosen for key, chosen, values in sets)
            and all(_by_path(found, path) == value.lstrip("=") for path, value in fields)
        )

    return selects


def _by_path(found: Object, path: str) -> object:
    here: Any = found
    for key in path.split("."):
        here = here.get(key) if isinstance(here, dict) else None
    return here


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def nano(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
