"""Argo's record of a workflow: which of its steps succeeded."""

import base64
import gzip
import io
import json
import zlib
from typing import Any, Final

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import BENCHMARK, WORKFLOWS

Object = dict[str, Any]

_TEMPLATE: Final = "dataplane-benchmark"
"""The deployed WorkflowTemplate. Argo lets a workflow that refers to one have no templates of its own."""

_LARGEST_NODES_BYTES: Final = 16 * 2**20


def succeeded_templates(client: Client, name: str | None, uid: str | None) -> set[str]:
    """The templates of the nodes that succeeded in the workflow of this name and UID.

    Empty if there is no such workflow, or if it has templates of its own, which may have any name.
    """
    found = client.get(WORKFLOWS, name, BENCHMARK) if name and uid else None
    if found is None or found["metadata"].get("uid") != uid:
        return set()
    if ((found.get("spec") or {}).get("workflowTemplateRef") or {}).get("name") != _TEMPLATE:
        return set()
    nodes = _nodes(found.get("status") or {})
    return {str(node.get("templateName")) for node in nodes.values() if node.get("phase") == "Succeeded"}


def _nodes(status: Object) -> Object:
    """The nodes of a workflow's status, which Argo compresses from a megabyte on; none if they are damaged or huge."""
    if not status.get("compressedNodes"):
        return status.get("nodes") or {}
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(status["compressedNodes"]))) as file:
            text = file.read(_LARGEST_NODES_BYTES + 1)
        found = json.loads(text) if len(text) <= _LARGEST_NODES_BYTES else {}
    except (OSError, EOFError, zlib.error, ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
