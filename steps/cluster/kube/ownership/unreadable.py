"""A lock that this program can't read, of which somebody is told once: a note on it is all that guards remember."""

from typing import Final

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.objects import resource_version
from steps.cluster.kube.api.permissions import CONFIGMAPS, KUBE_SYSTEM, STATE
from steps.cluster.kube.ownership.lock import UnreadableLockError

TOLD: Final = "dataplane-benchmark/told-unreadable"
"""The annotation of the lock that says since when somebody knows, by the API server's clock."""


def note(client: Client, problem: UnreadableLockError) -> bool:
    """Note that somebody is told of the lock; False: it is noted already, or the lock has changed meanwhile.

    Raises:
        Problem: it can't be noted, so that nobody is told: every minute would be worse.
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
    except Problem as untold:
        raise Problem(f"{problem} Nobody was notified of it, since that could not be noted: {untold}") from None
    return True
