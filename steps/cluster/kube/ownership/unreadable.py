"""A lock that this program can't read. It is reported once: guards keep nothing, so an annotation on it says so."""

from typing import Final

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.objects import resource_version
from steps.cluster.kube.api.permissions import CONFIGMAPS, KUBE_SYSTEM, STATE
from steps.cluster.kube.ownership.lock import UnreadableLockError

TOLD: Final = "dataplane-benchmark/told-unreadable"
"""The annotation of a lock that was reported, with the time by the API server's clock."""


def note(client: Client, problem: UnreadableLockError) -> bool:
    """Annotate the lock as reported; False: it is annotated already, or has changed meanwhile.

    Raises:
        Problem: it can't be annotated, and is not reported: a report every minute would be worse.
    """
    try:
        found = client.get(CONFIGMAPS, STATE, KUBE_SYSTEM)
        if found is None or TOLD in (found["metadata"].get("annotations") or {}):
            return False
        annotations = {TOLD: client.now().isoformat()}
        patch = {"metadata": {"resourceVersion": resource_version(found), "annotations": annotations}}
        client.patch(CONFIGMAPS, STATE, patch, KUBE_SYSTEM)
    except ConflictError:
        return False
    except Problem as refused:
        raise Problem(f"{problem} Nobody was notified of it, since that could not be noted: {refused}") from None
    return True
