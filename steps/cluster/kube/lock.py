"""The ConfigMap by which a run holds a cluster: its lock, and what was there before its first change.

It lies in kube-system under one name, so that a cluster has one holder whatever namespace the benchmark runs in, and
so that a later run, or a user, finds what to put back after a run that was killed. Its creation is the taking of the
lock.
"""

import getpass
import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.fields import OURS, Ref
from steps.cluster.kube.api.permissions import BENCHMARK, CONFIGMAPS, KUBE_SYSTEM, STATE, WORKFLOWS, Resource
from steps.cluster.kube.api.retries import through_conflicts
from steps.domain import Visit

Object = dict[str, Any]

LOCK: Final = Ref(CONFIGMAPS, STATE, KUBE_SYSTEM)

VERSION: Final = 1
"""Of the snapshot's layout."""

_ENDED: Final = frozenset({"Succeeded", "Failed", "Error"})
_NODE_ID: Final = re.compile(r"(.+)-\d+")
_NOISE: Final = ("managedFields", "resourceVersion", "generation", "selfLink")
_NOISY_ANNOTATIONS: Final = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", "deprecated.daemonset.template.generation"}
)


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Who holds a cluster: a workflow, by namespace and name, or a person at a machine."""

    workflow: str | None
    namespace: str | None
    person: str | None

    def __str__(self) -> str:
        return f"workflow {self.namespace}/{self.workflow}" if self.workflow else f"{self.person}"


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock as it was found.

    Attributes:
        owner: who holds it.
        taken_at: since when.
        snapshot: of what was there before.
        uid: its ConfigMap's.
        ebpf: whether eBPF was switched on since, which leaves traces in the nodes' kernels.
        unfit: the dataplanes that were found unavailable here, and why.
        visit: the visit that was switched to last, without its trials; None: none was, or a person switched.
    """

    owner: LockOwner
    taken_at: str
    snapshot: Object
    uid: str
    ebpf: bool = False
    unfit: Mapping[str, str] = field(default_factory=dict)
    visit: Visit | None = None


def current_owner(namespace: str, variables: Mapping[str, str] = os.environ) -> LockOwner:
    """The workflow that this process is a step of, or the person who started it."""
    node = variables.get("ARGO_NODE_ID", "")
    matched = _NODE_ID.fullmatch(node)
    if workflow := variables.get("ARGO_WORKFLOW_NAME") or (matched[1] if matched else node):
        return LockOwner(workflow, namespace, None)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        user = f"user {os.getuid()}"
    return LockOwner(None, None, f"{user}@{socket.gethostname()}")


def find_lock(client: Client) -> HeldLock | None:
    """The lock that is on the cluster, if any.

    Raises:
        Problem: it is there and can't be read.
    """
    found = client.get(CONFIGMAPS, STATE, KUBE_SYSTEM)
    if found is None:
        return None
    try:
        data = found["data"]
        owner, snapshot = LockOwner(**json.loads(data["owner"])), json.loads(data["snapshot"])
        unfit = dict(json.loads(data.get("unfit", "{}")))
        visit = Visit.model_validate_json(data["visit"]) if "visit" in data else None
        held = HeldLock(owner, data["taken_at"], snapshot, _uid(found), ebpf="ebpf" in data, unfit=unfit, visit=visit)
    except (KeyError, TypeError, ValueError) as error:
        raise Problem(
            f"{client.where}: ConfigMap {KUBE_SYSTEM}/{STATE} is no snapshot of this program ({error}): look at it, "
            f"restore by hand what it names, and delete it: `kubectl -n {KUBE_SYSTEM} delete configmap {STATE}`."
        ) from None
    if held.snapshot.get("version") != VERSION:
        raise Problem(
            f"{client.where}: the snapshot in ConfigMap {KUBE_SYSTEM}/{STATE} has version "
            f"{held.snapshot.get('version')!r} and this program reads {VERSION}: restore with the program that took it."
        )
    return held


def take_lock(client: Client, owner: LockOwner, snapshot: Object, now: datetime) -> HeldLock:
    """Take the lock, with what is there now as its snapshot; one that is ours already stays as it is.

    Raises:
        Unsupported: somebody else holds it.
    """
    body = lock(owner, snapshot, now)
    held = find_lock(client)
    if held is None:
        try:
            made = client.create(CONFIGMAPS, body, KUBE_SYSTEM)
            return HeldLock(owner, now.isoformat(), snapshot, _uid(made))
        except ConflictError:  # somebody was faster, or our own call was cut short and came through
            held = find_lock(client)
    if held is None or held.owner != owner:
        raise Unsupported(held_by_another(client.where, held))
    return held


def lock(owner: LockOwner, snapshot: Object, now: datetime) -> Object:
    """The ConfigMap that is a lock."""
    return {
        "metadata": {"name": STATE, "labels": dict(OURS)},
        "data": {
            "owner": json.dumps({"workflow": owner.workflow, "namespace": owner.namespace, "person": owner.person}),
            "taken_at": now.isoformat(),
            "snapshot": json.dumps(snapshot),
        },
    }


def add_note(
    client: Client,
    held: HeldLock,
    *,
    unfit: Mapping[str, str] | None = None,
    ebpf: bool = False,
    visit: Visit | None = None,
) -> None:
    """Keep beside the snapshot what a later step of the run has to know.

    Args:
        client: of the cluster.
        held: the lock.
        unfit: dataplanes that can't be had here, and why; in addition to those that are known.
        ebpf: that eBPF is about to be switched on.
        visit: that is about to be switched to.
    """
    data = {"unfit": json.dumps({**held.unfit, **unfit})} if unfit else {}
    data |= {"ebpf": "true"} if ebpf else {}
    named = visit.model_copy(update={"trials": ()}) if visit is not None else held.visit
    data |= {"visit": named.model_dump_json()} if named is not None and named != held.visit else {}
    if not data:
        return
    patch = {"metadata": {"uid": held.uid}, "data": data}
    through_conflicts(lambda: client.patch(CONFIGMAPS, STATE, patch, KUBE_SYSTEM))


def release_lock(client: Client, held: HeldLock) -> None:
    """Give the lock back."""
    client.delete(CONFIGMAPS, STATE, KUBE_SYSTEM, uid=held.uid)


def holder_is_alive(client: Client, owner: LockOwner) -> bool | None:
    """Whether the holder is still at work; None where that can't be told: a person, or another namespace."""
    if owner.workflow is None or owner.namespace != client.namespace:
        return None
    found = client.get(WORKFLOWS, owner.workflow, BENCHMARK)
    return found is not None and (found.get("status") or {}).get("phase") not in _ENDED


def held_by_another(where: str, held: HeldLock | None) -> str:
    """Why a cluster can't be had, and what to do."""
    who = f"{held.owner} since {held.taken_at}" if held else "somebody"
    return (
        f"{where} is held by {who}: wait until that has ended, or if it is dead, put the cluster back with "
        f"`python -m workflows restore --environment {where}`."
    )


def may_restore(client: Client, owner: LockOwner, say: Callable[[str], None], *, insist: bool) -> bool:
    """Whether the cluster is this owner's to put back: nobody else holds it, or one who is dead, or a person insists.

    Raises:
        Unsupported: a workflow that is at work holds it, and a person insists.
    """
    held = find_lock(client)
    if held is None or held.owner == owner:
        return True
    alive = holder_is_alive(client, held.owner)
    if alive and insist:
        raise Unsupported(
            f"{client.where} is held by {held.owner}, which is at work: stop it first; it restores by itself. Where it "
            "can't, since pods no longer reach the API server, delete it, and restore again: "
            f"`kubectl -n {held.owner.namespace} delete workflow {held.owner.workflow}`."
        )
    if alive or not (insist or alive is False):
        say(f"{client.where} is held by {held.owner}, so this is not ours to put back")
        return False
    say(f"putting back what {held.owner} left behind at {held.taken_at}")
    return True


def take_snapshot(
    objects: Mapping[Ref, Object | None],
    nodes: tuple[str, ...],
    now: datetime,
    *,
    dataplane: str | None,
    **more: object,
) -> Object:
    """What is there, and what is absent, as JSON. Whole objects, without what the server keeps for itself.

    Args:
        objects: that a switch may touch; None: absent.
        nodes: that are measured.
        now: by the server's clock.
        dataplane: that runs; None: it is not known.
        more: what else the plugin has to know to put them back.
    """
    return {
        "version": VERSION,
        "taken_at": now.isoformat(),
        "dataplane": dataplane,
        "nodes": list(nodes),
        **more,
        "objects": [{"ref": _ref_json(ref), "object": without_server_fields(found)} for ref, found in objects.items()],
    }


def snapshot_objects(snapshot: Object) -> dict[Ref, Object | None]:
    """The objects of a snapshot, by what they are."""
    return {_ref(entry["ref"]): entry["object"] for entry in snapshot["objects"]}


def without_server_fields(found: Object | None) -> Object | None:
    """An object without what only the server sets, and without its status."""
    if found is None:
        return None
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in _NOISE}
    annotations = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _NOISY_ANNOTATIONS
    }
    if "annotations" in metadata:
        metadata["annotations"] = annotations
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def _ref_json(ref: Ref) -> Object:
    kind = ref.resource
    return {
        "group": kind.group,
        "version": kind.version,
        "plural": kind.plural,
        "kind": kind.kind,
        "name": ref.name,
        "namespace": ref.namespace,
    }


def _ref(entry: Object) -> Ref:
    kind = Resource(entry["group"], entry["version"], entry["plural"], entry["kind"])
    return Ref(kind, entry["name"], entry["namespace"])


def _uid(found: Object) -> str:
    return str(found.get("metadata", {}).get("uid", ""))
