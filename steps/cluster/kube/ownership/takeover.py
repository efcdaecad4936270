"""Who may put a cluster back: its holder; after the holder's death one other, for whom the rest waits; or a person."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from analysis.errors import Unsupported
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import NOT_FOUND, ApiError, ConflictError
from steps.cluster.kube.api.permissions import BENCHMARK, CONFIGMAPS, KUBE_SYSTEM, STATE, WORKFLOWS
from steps.cluster.kube.ownership.lock import HeldLock, Restorer, find_lock
from steps.cluster.kube.ownership.owner import LockOwner
from steps.polling import poll

_ENDED: Final = frozenset({"Succeeded", "Failed", "Error"})

PERSONS_RESTORE_S: Final = 600.0
"""How long a restore by a person may take, who may have interrupted it. Whether a workflow does, its record says."""

PATIENCE_S: Final = 900.0
"""How long a run waits for another that puts the cluster back: longer than for any person."""

_PAUSE_S: Final = 5.0


def holder_is_alive(client: Client, owner: LockOwner) -> bool | None:
    """Whether the holder is still running; None if that is unknown: a user, or a workflow of another namespace."""
    if owner.workflow is None or owner.namespace != client.namespace:
        return None
    found = client.get(WORKFLOWS, owner.workflow, BENCHMARK)
    if found is None or (owner.uid is not None and found["metadata"].get("uid") != owner.uid):
        return False
    return (found.get("status") or {}).get("phase") not in _ENDED


def await_restorer(
    client: Client, owner: LockOwner, say: Callable[[str], None], sleep: Callable[[float], None]
) -> None:
    """Wait while another puts back what a dead run left, at most PATIENCE_S."""

    def another() -> Restorer | None:
        held = find_lock(client)
        if held is None or held.owner == owner or holder_is_alive(client, held.owner) is not False:
            return None
        return restorer_at_work(client, held, owner)

    if (found := another()) is not None:
        say(f"waiting for {found.owner}, which is putting {client.where} back since {found.since.isoformat()}")
        poll(another, lambda one: one is None, pause_s=_PAUSE_S, timeout_s=PATIENCE_S, sleep=sleep)


def restorer_at_work(client: Client, held: HeldLock, owner: LockOwner) -> Restorer | None:
    """Another than this owner, who began to put back what the holder left, and may be alive."""
    found = held.restorer
    if found is None or found.owner == owner:
        return None
    alive = holder_is_alive(client, found.owner)
    if alive is None:
        alive = abs(client.now() - found.since) < timedelta(seconds=PERSONS_RESTORE_S)
    return found if alive else None


def may_restore(client: Client, owner: LockOwner, say: Callable[[str], None], *, insist: bool) -> bool:
    """Whether this owner may put the cluster back: it is free, its own, or a dead holder's, or a user insists.

    Where it is another's, this owner is recorded in the lock, so that nobody else begins as well.

    Raises:
        Unsupported: a running workflow holds it or puts it back, and a user insists.
    """
    while (held := find_lock(client)) is not None and held.owner != owner:
        alive = holder_is_alive(client, held.owner)
        if alive and insist:
            raise Unsupported(
                f"{client.where} is held by {held.owner}, which is running: stop it first; it restores by itself. "
                "Where it can't, since pods no longer reach the API server, delete it, and restore again: "
                f"`{client.kubectl} -n {held.owner.namespace} delete workflow {held.owner.workflow}`."
            )
        if alive or not (insist or alive is False):
            say(f"{client.where} is held by {held.owner}, so this is not ours to put back")
            return False
        other = restorer_at_work(client, held, owner)
        if other is not None and not (insist and other.owner.workflow is None):
            sentence = f"{client.where} is being put back by {other.owner} since {other.since.isoformat()}"
            if insist:
                raise Unsupported(f"{sentence}: wait until that has ended.")
            say(sentence)
            return False
        if _become_restorer(client, held, owner):
            say(f"putting back what {held.owner} left behind at {held.taken_at}")
            return True
    return True


def _become_restorer(client: Client, held: HeldLock, owner: LockOwner) -> bool:
    """Record who puts the cluster back; False: the lock has changed, or is gone."""
    if held.restorer is not None and held.restorer.owner == owner:
        return True
    found: dict[str, Any] = {"owner": asdict(owner), "since": client.now().isoformat()}
    patch = {"metadata": {"resourceVersion": held.version}, "data": {"restorer": json.dumps(found)}}
    try:
        client.patch(CONFIGMAPS, STATE, patch, KUBE_SYSTEM)
    except ConflictError:
        return False
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise
        return False
    return True
