"""The API's objects."""

from typing import Any

Object = dict[str, Any]
"""An object as the API's JSON has it."""


def resource_version(found: Object) -> str:
    """The version of an object, as the API server counts it; empty if it has none."""
    return str(found.get("metadata", {}).get("resourceVersion", ""))
