"""Argo's record of a workflow: which of its steps succeeded."""

import base64
import gzip
import io
import json
import zlib
from collections.abc import Callable
from typing import Final

from analysis.errors import Unsupported
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, WORKFLOWS
from steps.cluster.kube.ownership.owner import LockOwner
from steps.polling import poll

_TEMPLATE: Final = "dataplane-benchmark"
"""The deployed WorkflowTemplate. Argo lets a workflow that refers to one have no templates of its own."""

PREFLIGHT: Final = "preflight"
"""The template of a run's first step."""

_RECORD_S: Final = 30.0
"""How long Argo may take to write a record."""

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


def require_preflight(client: Client, owner: LockOwner, sleep: Callable[[float], None]) -> None:
    """Wait until Argo's record of this very workflow has its preflight as succeeded; users need none.

    Argo writes the record after it has created the pod of the next step.

    Raises:
        Unsupported: the record does not have it.
    """
    if owner.workflow is None:
        return
    found = poll(
        lambda: succeeded_templates(client, owner.workflow, owner.uid),
        lambda names: PREFLIGHT in names,
        pause_s=1.0,
        timeout_s=_RECORD_S,
        sleep=sleep,
    )
    if PREFLIGHT not in found:
        raise Unsupported(
            f"{client.where}: the preflight of {owner} has not succeeded, so it can't take the cluster: submit the "
            "whole workflow, whose first step it is."
        )


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
