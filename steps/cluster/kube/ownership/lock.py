"""The lock of a cluster: a ConfigMap that names its holder and has what was there before the first change.

It is in kube-system under one name, so that a cluster has one holder whatever the benchmark's namespace, and so that a
later run, or a user, finds what to put back after a run that was killed. Creating it takes the lock.

Whoever may write this ConfigMap decides what restoring writes. So its text is read by strict, bounded models; which
objects and fields may be put back is decided by the network plugin from the facts of the cluster.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AwareDatetime, ConfigDict, Field, Json, ValidationError

from analysis.console.excerpts import excerpt
from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.fields import OURS, Ref
from steps.cluster.kube.api.objects import Object, resource_version
from steps.cluster.kube.api.permissions import CONFIGMAPS, KUBE_SYSTEM, STATE
from steps.cluster.kube.api.retries import through_conflicts
from steps.cluster.kube.ownership.owner import LockOwner
from steps.cluster.kube.ownership.snapshot import DataplaneName, Snapshot
from steps.cluster.kube.ownership.workflow_record import PREFLIGHT, succeeded_templates
from steps.domain import Visit
from steps.lease import RENEWAL_S
from steps.strict_model import StrictModel, faults_of

LOCK: Final = Ref(CONFIGMAPS, STATE, KUBE_SYSTEM)

_BEFORE_CONFIGURE: Final = frozenset({PREFLIGHT, "snapshot"})
"""The templates of a run that come before its first switch."""

LONGEST_REASON: Final = 2000
_Reason = Annotated[str, Field(max_length=LONGEST_REASON)]


class UnreadableLockError(Problem):
    """There is a lock, and its text is none that this program reads."""


@dataclass(frozen=True, slots=True)
class Restorer:
    """Who puts back what a dead holder left, since when, and when it was last at work, by the API server's clock."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    owner: LockOwner
    since: AwareDatetime
    seen_at: AwareDatetime | None = None

    @property
    def known_alive_at(self) -> datetime:
        """When it was last known to be at work, by the lock alone."""
        return self.seen_at or self.since

    def as_text(self) -> str:
        """As the lock has it."""
        seen = {"seen_at": self.seen_at.isoformat()} if self.seen_at is not None else {}
        return json.dumps({"owner": asdict(self.owner), "since": self.since.isoformat(), **seen})


class _Data(StrictModel):
    owner: Json[LockOwner]
    taken_at: AwareDatetime
    renewed_at: AwareDatetime | None = None
    snapshot: Json[Snapshot]
    ebpf: Literal["true"] | None = None
    unfit: Json[Annotated[dict[DataplaneName, _Reason], Field(max_length=16)]] = Field(default_factory=dict)
    visit: Json[Visit] | None = None
    restorer: Json[Restorer] | None = None


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock as it was found.

    Attributes:
        owner: the holder.
        taken_at: since when.
        snapshot: of what was there before.
        uid: of the ConfigMap.
        ebpf: whether eBPF was switched on since, which leaves traces in the nodes' kernels.
        unfit: the dataplanes that were found unavailable here, and why.
        visit: the last visit that was switched to, without its trials; None: no visit, or a user switched.
        restorer: who puts back what this holder left; None: nobody began to.
        version: of the ConfigMap, by which a write notices another's.
        renewed_at: when the holder, or the guard that saw its pods at work, last renewed it; None: never.
    """

    owner: LockOwner
    taken_at: str
    snapshot: Object
    uid: str
    ebpf: bool = False
    unfit: Mapping[str, str] = field(default_factory=dict)
    visit: Visit | None = None
    restorer: Restorer | None = None
    version: str = ""
    renewed_at: datetime | None = None

    @property
    def known_alive_at(self) -> datetime:
        """When the holder was last known to be alive, by the lock alone."""
        return self.renewed_at or datetime.fromisoformat(self.taken_at)

    def switched_since(self, visit: Visit) -> Visit | None:
        """Another visit, which has switched since this one; None: none has. Argo's Retry may begin several at once."""
        return self.visit if self.visit is not None and self.visit.visit != visit.visit else None


def find_lock(client: Client) -> HeldLock | None:
    """The lock of the cluster, if there is one.

    Raises:
        UnreadableLockError: it has a text that this program does not read.
        Problem: the API server gives no answer.
    """
    found = client.get(CONFIGMAPS, STATE, KUBE_SYSTEM)
    if found is None:
        return None
    texts = found.get("data") or {}
    try:
        data = _Data.model_validate(texts)
        snapshot = json.loads(texts["snapshot"])
    except (ValidationError, ValueError, RecursionError) as error:
        faults = "; ".join(faults_of(error)) if isinstance(error, ValidationError) else error
        raise UnreadableLockError(
            f"{client.where}: ConfigMap {KUBE_SYSTEM}/{STATE} is no snapshot that this program reads "
            f"({excerpt(faults)}): restore with the program that took it, or by hand what it names, and delete it: "
            f"`{client.kubectl} -n {KUBE_SYSTEM} delete configmap {STATE}`."
        ) from None
    return HeldLock(
        data.owner,
        data.taken_at.isoformat(),
        snapshot,
        _uid(found),
        ebpf=data.ebpf is not None,
        unfit=data.unfit,
        visit=data.visit,
        restorer=data.restorer,
        version=resource_version(found),
        renewed_at=data.renewed_at,
    )


def find_own_lock(client: Client, owner: LockOwner) -> HeldLock | None:
    """The lock of the cluster, if this owner has it."""
    held = find_lock(client)
    return held if held is not None and held.owner == owner else None


def take_lock(client: Client, owner: LockOwner, snapshot: Object, now: datetime) -> HeldLock:
    """Take the lock, with the snapshot of what is there now; a lock of this owner stays as it is.

    Raises:
        Unsupported: somebody else has it.
    """
    body = lock(owner, snapshot, now)
    held = find_lock(client)
    if held is None:
        try:
            made = client.create(CONFIGMAPS, body, KUBE_SYSTEM)
            return HeldLock(owner, now.isoformat(), snapshot, _uid(made), version=resource_version(made))
        except ConflictError:  # somebody else created it, or this call was repeated after its answer was lost
            held = find_lock(client)
    if held is None or held.owner != owner:
        raise Unsupported(held_by_another(client, held))
    return held


def refuse_others(client: Client, owner: LockOwner) -> HeldLock | None:
    """This owner's lock, if there is one.

    Raises:
        Unsupported: somebody else has it, whose trials a step would end or disturb.
    """
    held = find_lock(client)
    if held is not None and held.owner != owner:
        raise Unsupported(held_by_another(client, held))
    return held


def require_lock(client: Client, owner: LockOwner) -> HeldLock | None:
    """This run's lock, which its snapshot took after its preflight; None: it was given back, and may be taken again.

    It is given back when a run ends. A run that Argo's Retry begins again may take it again, since its workflow records
    that its preflight and its snapshot succeeded.

    Raises:
        Unsupported: somebody else has the lock, or this run has no preflight and snapshot.
    """
    held = refuse_others(client, owner)
    if held is None and not succeeded_templates(client, owner.workflow, owner.uid) >= _BEFORE_CONFIGURE:
        raise Unsupported(
            f"{client.where}: {owner} does not hold the cluster, since its preflight and snapshot have not succeeded: "
            "submit the whole workflow, whose first steps they are."
        )
    return held


def lock(owner: LockOwner, snapshot: Object, now: datetime) -> Object:
    """The ConfigMap that is a lock."""
    return {
        "metadata": {"name": STATE, "labels": dict(OURS)},
        "data": {
            "owner": json.dumps(asdict(owner)),
            "taken_at": now.isoformat(),
            "snapshot": json.dumps(snapshot),
        },
    }


def require_right(client: Client, held: HeldLock, owner: LockOwner) -> None:
    """Let nobody write by a plan from before, as a process that was stopped for a while: the right may have passed on.

    A mark of the owner's is renewed by it, so that a long restore is not taken for one that was given up.

    Args:
        client: of the cluster.
        held: the lock when the plan was made.
        owner: who writes: the holder, or who put its own mark into the lock to put back what that left.

    Raises:
        Unsupported: it has no right to change the cluster any more.
    """
    found = find_lock(client)
    if found is None:
        raise Unsupported(f"{client.where} was put back by another meanwhile, so nothing more is changed: begin again.")
    _refuse_lost(client, held, found, owner)
    if found.restorer is not None:
        _renew_mark(client, found, found.restorer)


def _renew_mark(client: Client, found: HeldLock, restorer: Restorer) -> None:
    now = client.now()
    if now - restorer.known_alive_at < timedelta(seconds=RENEWAL_S):
        return
    mark = {"restorer": replace(restorer, seen_at=now).as_text()}
    patch = {"metadata": {"resourceVersion": found.version}, "data": mark}
    with suppress(ConflictError):  # the next look at the lock decides
        client.patch(CONFIGMAPS, STATE, patch, KUBE_SYSTEM)


def has_right(held: HeldLock, owner: LockOwner) -> bool:
    """Whether this owner may change the cluster: it put its mark into the lock last, or holds it and nobody did."""
    return owner == (held.owner if held.restorer is None else held.restorer.owner)


def _refuse_lost(client: Client, held: HeldLock, found: HeldLock, owner: LockOwner) -> None:
    """Refuse what was planned with the lock `held`, where that is another's by now, or another's mark is in it."""
    if found.uid == held.uid and has_right(found, owner):
        return
    another = found.restorer
    raise Unsupported(held_by_another(client, found) if another is None else put_back_by_another(client, another))


def release_lock(client: Client, held: HeldLock, owner: LockOwner) -> None:
    """Give the lock back, which this owner holds or has put back; nothing where that was done.

    Raises:
        Unsupported: it is another's by now, or another puts the cluster back.
    """

    def once() -> None:
        if (found := find_lock(client)) is None:
            return
        _refuse_lost(client, held, found, owner)
        client.delete(CONFIGMAPS, STATE, KUBE_SYSTEM, uid=found.uid, version=found.version)

    through_conflicts(once)


def held_by_another(client: Client, held: HeldLock | None) -> str:
    """Why a cluster is unavailable, and what to do."""
    who = f"{held.owner} since {held.taken_at}" if held else "somebody"
    return (
        f"{client.where} is held by {who}: wait until that has ended, or if it is dead, put the cluster back with "
        f"`{client.restore_command}`."
    )


def put_back_by_another(client: Client, restorer: Restorer) -> str:
    """Why a run may not go on: it gave no sign of life for too long, or ended, and its lock is being taken away."""
    return (
        f"{client.where} is being put back by {restorer.owner} since {restorer.since.isoformat()}: wait until that has "
        "ended, then submit a run."
    )


def _uid(found: Object) -> str:
    return str(found.get("metadata", {}).get("uid", ""))
