"""The runs of a deployment that have not ended, with the lock or without: in preflight, queued, retried or stopped."""

from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import WORKFLOWS
from steps.cluster.kube.ownership.lock import find_lock
from steps.lease import ENDED
from workflows.deployment.user_client import UserClient
from workflows.template.benchmark import NAME

_MAY_GO_ON: Final = "workflows.argoproj.io/completed notin (true)"
"""By Argo's label, so that of hundreds of workflows that have ended, up to a megabyte each, none is read."""


def list_unfinished(client: UserClient, namespace: str | None = None) -> list[Object]:
    """The workflows of the template that have not ended; without a namespace those of all."""
    return [
        found
        for found in client.list(WORKFLOWS, namespace, labels=_MAY_GO_ON)
        if ((found.get("spec") or {}).get("workflowTemplateRef") or {}).get("name") == NAME
        and (found.get("status") or {}).get("phase") not in ENDED
    ]


def images_in_use(client: UserClient) -> set[str]:
    """The images of the steps that runs of this namespace may yet start, and the lock's holder, by Argo's record.

    Raises:
        Problem: the lock can't be read.
    """
    found = list_unfinished(client, client.namespace)
    held = find_lock(client)
    if held is not None and held.owner.workflow is not None:
        # it may have ended, and be retried while it holds the cluster
        holder = client.get(WORKFLOWS, held.owner.workflow, held.owner.namespace)
        found += [holder] if holder is not None else []
    return {image for workflow in found for image in _images(workflow)}


def _images(workflow: Object) -> set[str]:
    """Of the template as it was when the workflow began, which Argo runs to its end."""
    stored = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec") or {}
    return {str(each["script"].get("image")) for each in stored.get("templates") or [] if each.get("script")}
