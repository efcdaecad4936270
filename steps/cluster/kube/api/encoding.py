"""Requests to the API as paths and queries, and its answers as JSON objects."""

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlencode

from analysis.console.excerpts import excerpt
from steps.cluster.kube.api.denials import BETWEEN
from steps.cluster.kube.api.errors import ApiError, ExpiredError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import Resource

FIELD_MANAGER: Final = "dataplane-benchmark"
"""The name under which the API server records the fields that this project sets."""

VERSION: Final = "/version"


def path(resource: Resource, namespace: str | None, name: str = "") -> str:
    """The path of one object, or of all objects of a kind if `name` is empty."""
    parts = ["apis", resource.group, resource.version] if resource.group else ["api", resource.version]
    parts += ["namespaces", namespace] if namespace else []
    parts += [resource.plural, name] if name else [resource.plural]
    return "/" + "/".join(quote(part, safe="") for part in parts)


def query(values: dict[str, str]) -> str:
    """The end of a path, without empty values."""
    return "?" + urlencode({name: value for name, value in values.items() if value})


def write_query(*, dry_run: bool) -> str:
    """The end of the path of a request that sets fields. `dry_run`: nothing is stored."""
    return query({"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else ""})


def all_pages(page: Callable[[str], Object | None]) -> tuple[list[Object], str]:
    """The items of a list and its version, by the pages that follow each token; neither if the kind is unknown.

    Raises:
        ExpiredError: the first page expired.
    """
    items: list[Object] = []
    token = ""
    while True:
        try:
            found = page(token)
        except ExpiredError:
            if not token:
                raise
            items, token = [], ""  # the pages expired: begin again
            continue
        if found is None:
            return [], ""
        items += found.get("items") or []
        metadata = found.get("metadata", {})
        token = metadata.get("continue", "")
        if not token:
            return items, metadata.get("resourceVersion", "")


def decode(text: bytes, asked: str, what: str) -> Object:
    """The object of an answer.

    `asked`: the path of the request. `what`: the cluster, and what was requested, for the message.

    Raises:
        ApiError: it is no object of the API, as a proxy's page is not.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    # every answer of Kubernetes names its kind, except the server's version
    if not isinstance(found, dict) or not (isinstance(found.get("kind"), str) or asked == VERSION):
        raise ApiError(f"{what}: the answer is {excerpt(text.decode(errors='replace'), 80)!r}. {BETWEEN}", 0)
    return found
