"""The API's objects."""

from typing import Any

Object = dict[str, Any]
"""An object as the API's JSON has it."""


def resource_version(found: Object) -> str:
    """The version of an object, as the API server counts it; empty if it has none."""
    return str(found.get("metadata", {}).get("resourceVersion", ""))


def is_ready(found: Object) -> bool:
    """Whether a node or a pod is ready, by its condition."""
    conditions = (found.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
