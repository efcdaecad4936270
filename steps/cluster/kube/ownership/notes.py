"""What a holder records in its lock beside the snapshot, by which it renews the lock, too."""

import json
from collections.abc import Mapping
from datetime import timedelta

from analysis.console.excerpts import excerpt
from analysis.errors import Unsupported
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import CONFIGMAPS, KUBE_SYSTEM, STATE
from steps.cluster.kube.api.retries import through_conflicts
from steps.cluster.kube.ownership import lock, takeover
from steps.cluster.kube.ownership.lock import LONGEST_REASON, HeldLock
from steps.domain import Visit
from steps.lease import RENEWAL_S


def add_note(
    client: Client,
    held: HeldLock,
    *,
    unfit: Mapping[str, str] | None = None,
    ebpf: bool = False,
    visit: Visit | None = None,
) -> None:
    """Renew the lock, and record beside the snapshot what a later step of the run has to know.

    Args:
        client: of the cluster.
        held: the lock.
        unfit: dataplanes that are unavailable here, and why; in addition to those that are recorded.
        ebpf: whether eBPF is about to be switched on.
        visit: that is about to be switched to.

    A mark of another who began to put the cluster back and died is taken out by it, as of a guard whose node was lost.

    Raises:
        Unsupported: the lock is no longer this holder's, or another puts back what it was taken to have left.
    """
    current = held

    def once() -> None:
        nonlocal current
        takeover.refuse_restored(client, current, held.owner)
        reasons = {**current.unfit, **(unfit or {})}
        cut = {name: excerpt(reason, LONGEST_REASON) for name, reason in reasons.items()}
        data: Object = {"unfit": json.dumps(cut)} if unfit else {}
        data |= {"ebpf": "true"} if ebpf else {}
        named = visit.model_copy(update={"trials": ()}) if visit is not None else current.visit
        data |= {"visit": named.model_dump_json()} if named is not None and named != current.visit else {}
        now = client.now()
        if not data and current.restorer is None and now - current.known_alive_at < timedelta(seconds=RENEWAL_S):
            return
        data |= {"renewed_at": now.isoformat(), "restorer": None}
        metadata = {"uid": current.uid, **({"resourceVersion": current.version} if current.version else {})}
        try:
            client.patch(CONFIGMAPS, STATE, {"metadata": metadata, "data": data}, KUBE_SYSTEM)
        except ConflictError:
            found = lock.find_lock(client)
            if found is None or found.owner != held.owner or found.uid != held.uid:
                raise Unsupported(lock.held_by_another(client, found)) from None
            current = found
            raise

    through_conflicts(once)
