"""Who may put a cluster back: its holder; after the holder's death one other, for whom the rest waits; or a person."""

from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from analysis.errors import Problem, Unsupported
from steps.catalogue.dataplanes import AS_IS, Arm
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError, ConflictError, DeniedError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, CONFIGMAPS, KUBE_SYSTEM, PODS, STATE, WORKFLOWS
from steps.cluster.kube.ownership.lock import HeldLock, Restorer, find_lock, find_own_lock, put_back_by_another
from steps.cluster.kube.ownership.owner import LockOwner
from steps.domain import Visit
from steps.lease import ENDED, PART, PART_LABEL, RUN_LABEL, at_work, is_silent, last_sign
from steps.polling import poll

PERSONS_RESTORE_S: Final = 600.0
"""After this a person who gave no sign has interrupted a restore. Whether a workflow is at it, its record says."""

PATIENCE_S: Final = 3 * 3600.0
"""How long a run waits for another that is putting the cluster back: an operator replaces the agents one by one."""

_PAUSE_S: Final = 5.0

_LAST_WRITES_S: Final = 30.0
"""How long a dead run's pods may take to end: Kubernetes' own grace period."""


def holder_is_alive(client: Client, held: HeldLock) -> bool | None:
    """Whether the holder is still running; None if that is unknown: a user, or a workflow of another namespace."""
    return _is_alive(client, held.owner, held.known_alive_at)


def _is_alive(client: Client, owner: LockOwner, known_alive_at: datetime) -> bool | None:
    """Whether a workflow runs and gave a sign of life lately, or a pod of the guard is at work; None: unknown."""
    if owner.namespace != client.namespace:
        return None
    if owner.is_guard:
        found = client.list(PODS, BENCHMARK, labels=f"{PART_LABEL}={PART}")
        return any(
            pod["metadata"]["uid"] == owner.uid and at_work(pod) and not pod["metadata"].get("deletionTimestamp")
            for pod in found
        )
    if owner.workflow is None:
        return None
    record = _record(client, owner)
    if record is None or (record.get("status") or {}).get("phase") in ENDED:
        return False
    now = client.now()
    return not is_silent(known_alive_at, now) or not is_silent(_last_sign(client, owner, known_alive_at, now), now)


def _record(client: Client, owner: LockOwner) -> Object | None:
    """Argo's record of a workflow; None: it is gone."""
    found = client.get(WORKFLOWS, str(owner.workflow), BENCHMARK)
    return found if found is not None and owner.uid in {None, found["metadata"].get("uid")} else None


def _last_sign(client: Client, owner: LockOwner, known_alive_at: datetime, now: datetime) -> datetime:
    return last_sign(known_alive_at, client.list(PODS, BENCHMARK, labels=f"{RUN_LABEL}={owner.workflow}"), now)


def ending(client: Client, held: HeldLock) -> str:
    """How a dead holder ended, as a clause: `terminated at ...`."""
    found = _record(client, held.owner)
    if found is None:
        return "whose workflow was deleted"
    status, shutdown = found.get("status") or {}, (found.get("spec") or {}).get("shutdown")
    if status.get("phase") in ENDED:
        verb = "terminated" if shutdown == "Terminate" else f"ended as {status['phase']}"
        return f"{verb} at {status.get('finishedAt') or 'an unknown time'}"
    sign = _last_sign(client, held.owner, held.known_alive_at, client.now())
    return f"without a sign of life since {sign.isoformat()}"


def await_restorer(
    client: Client, owner: LockOwner, say: Callable[[str], None], sleep: Callable[[float], None]
) -> None:
    """Wait while another puts back what a dead run left, at most PATIENCE_S."""

    def another() -> Restorer | None:
        held = find_lock(client)
        if held is None or (held.owner != owner and holder_is_alive(client, held) is not False):
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
    alive = _is_alive(client, found.owner, found.known_alive_at)
    if alive is None:
        alive = abs(client.now() - found.known_alive_at) < timedelta(seconds=PERSONS_RESTORE_S)
    return found if alive else None


def refuse_restored(client: Client, held: HeldLock | None, owner: LockOwner) -> None:
    """Let no step of a run go on while another puts back what it was taken to have left.

    Raises:
        Unsupported: another does.
    """
    if held is not None and (found := restorer_at_work(client, held, owner)) is not None:
        raise Unsupported(put_back_by_another(client, found))


def refuse_reversed(client: Client, owner: LockOwner, visit: Visit, running: str | None) -> None:
    """Let no step of a run go on with a visit whose switch is over, as after Argo's Stop and Retry.

    `running`: the dataplane that runs; None: unknown.

    Raises:
        Problem: it is over.
    """
    if owner.workflow is None:
        return
    held, dataplane = find_own_lock(client, owner), Arm.parse(visit.dataplane).name
    if held is not None and (later := held.switched_since(visit)) is not None:
        raise Problem(
            f"{client.where}: visit {later.visit} has begun since, so {running} runs now. Argo's Retry makes no switch "
            f"again that had been made: submit a run that measures {dataplane}."
        )
    if held is None and dataplane not in {AS_IS, running}:
        raise Problem(
            f"{client.where}: the switch to {dataplane} was put back when this run ended before, or while it gave no "
            f"sign of life, so {running} runs now. Argo makes no switch again that had been made: submit a run that "
            "measures it."
        )


def may_restore(client: Client, owner: LockOwner, say: Callable[[str], None], *, insist: bool) -> bool:
    """Whether this owner may put the cluster back: it is free, its own, or a dead holder's, or a user insists.

    Where it is another's, this owner is recorded in the lock, so that nobody else begins as well.

    Raises:
        Unsupported: a running workflow holds it or puts it back, and a user insists; or whether it runs can't be known.
    """
    while (held := find_lock(client)) is not None:
        own = held.owner == owner
        if own and held.restorer is None:
            return True
        there = _of_holder(client, held.owner) if insist else client
        alive = False if own else _found_alive(there, held)
        if alive and insist:
            raise Unsupported(
                f"{client.where} is held by {held.owner}, which is running: stop it first; it restores by itself. "
                "Where it can't, since pods no longer reach the API server, delete it, and restore again: "
                f"`{client.kubectl} -n {held.owner.namespace} delete workflow {held.owner.workflow}`."
            )
        if alive or not (insist or alive is False):
            say(f"{client.where} is held by {held.owner}, so this is not ours to put back")
            return False
        other = restorer_at_work(there, held, owner)
        if other is not None and not (insist and other.owner.is_person):
            sentence = f"{client.where} is being put back by {other.owner} since {other.since.isoformat()}"
            if insist:
                raise Unsupported(f"{sentence}: wait until that has ended.")
            say(sentence)
            return False
        if _become_restorer(client, held, owner):
            if not own:
                say(f"putting back what {held.owner} left behind at {held.taken_at}")
                _await_last_writes(there, held.owner)
            return True
    return True


def _of_holder(client: Client, holder: LockOwner) -> Client:
    """The client for the namespace of a holder's workflow, where a user may look; a step has rights in its own alone.

    Raises:
        Unsupported: the lock does not name it.
    """
    if holder.workflow is None:
        return client
    if holder.namespace is None:
        raise Unsupported(
            f"{client.where} is held by workflow {holder.workflow}, and the lock does not say of which namespace, so "
            "whether it runs can't be known: make sure that none of that name runs, and delete the lock's field: "
            f"`{client.kubectl} -n {KUBE_SYSTEM} edit configmap {STATE}`."
        )
    return client.in_namespace(holder.namespace)


def _found_alive(client: Client, held: HeldLock) -> bool | None:
    """Whether the holder is still running; a refusal where these credentials may not know it."""
    try:
        return holder_is_alive(client, held)
    except DeniedError as denied:
        raise Unsupported(
            f"{client.where} is held by {held.owner}, and whether it runs can't be known, so nothing is put back under "
            f"it: {denied} Or restore as a user who may read workflows and pods in namespace {held.owner.namespace}."
        ) from None


def _await_last_writes(client: Client, owner: LockOwner) -> None:
    """Wait until the pods of a dead run have ended, so that none of them undoes what is put back; not for ever."""
    if owner.workflow is not None and owner.namespace == client.namespace:
        labels = f"{RUN_LABEL}={owner.workflow}"
        client.until(PODS, BENCHMARK, lambda pods: not any(map(at_work, pods)), _LAST_WRITES_S, labels=labels)


def _become_restorer(client: Client, held: HeldLock, owner: LockOwner) -> bool:
    """Record who puts the cluster back; False: the lock has changed, or is gone."""
    if held.restorer is not None and held.restorer.owner == owner:
        return True
    patch = {
        "metadata": {"resourceVersion": held.version},
        "data": {"restorer": Restorer(owner, client.now()).as_text()},
    }
    try:
        client.patch(CONFIGMAPS, STATE, patch, KUBE_SYSTEM)
    except ConflictError:
        return False
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True
