"""Restore a cluster, field by field, to its state from before a run; may be repeated any number of times."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from analysis.errors import Problem
from steps.catalogue.dataplanes import BY_NAME
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.fields import WHOLE, Field, Value, patch_command
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.lock import HeldLock
from steps.cluster.kube.ownership.snapshot import snapshot_objects
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.switching import desired_state, fields
from steps.cluster.kube.plugins.calico.switching.actions import Action, kubectl_command
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState, read_state
from steps.cluster.kube.plugins.calico.switching.executor import ActionExecutor
from steps.cluster.kube.plugins.calico.switching.fields import PARKING
from steps.cluster.kube.plugins.calico.switching.order import order
from steps.cluster.kube.plugins.calico.switching.snapshot import original_fields
from steps.domain import Change

KERNEL: Final = (
    "The API objects are restored. The nodes' kernels keep traces of eBPF: kernel.unprivileged_bpf_disabled stays set "
    "until a reboot, and rp_filter, accept_local, bpf_jit_harden and the mounts of bpffs and cgroups may differ."
)
"""What no restore can put back after eBPF was switched on."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """The fields of a lock's snapshot: their original and current values, and those that a restore gives them."""

    held: HeldLock
    standing: ClusterState
    original: dict[Field, Value]
    current: dict[Field, Value]
    wanted: dict[Field, Value]

    @property
    def facts(self) -> Facts:
        """Of the cluster."""
        return replace(self.standing.facts, install=self.standing.install)

    @property
    def todo(self) -> list[Action]:
        """The actions of the restore."""
        current = {**self.standing.current, **self.current}
        return order(current, self.wanted, self.facts, outdated=self.standing.kube_proxy_outdated, final=True)

    @property
    def left(self) -> list[str]:
        """What it does not put back, as sentences."""
        sentences = [sentence for field in self.wanted if (sentence := self._left(field)) is not None]
        then = BY_NAME.get(str(self.held.snapshot.get("dataplane")))
        if (self.held.ebpf or fields.runs_ebpf(self.current)) and not (then is not None and then.bpf):
            sentences.append(KERNEL)
        return sentences

    def _left(self, field: Field) -> str | None:
        original, now, value = self.original[field], self.current.get(field), self.wanted[field]
        if fields.is_configuration(field) and not (isinstance(now, str) and kube_proxy.is_configuration(now)):
            return (
                f"{field} was no valid configuration of kube-proxy; the one from before the run replaces it. It was: "
                f"{str(now)[:2000]!r}"
            )
        if value == original:
            return None
        if field == PARKING:
            patch = patch_command(field.ref, {field.path: original})
            return (
                f"{field.ref} was kept off every node before the run, without eBPF; it stays on, since nothing else "
                f"would serve Services. To switch it off: `{patch}`."
            )
        meanwhile = None
        if fields.is_configuration(field):
            meanwhile = "changed by another client meanwhile: only its mode was restored."
        elif field.path == WHOLE and original is None:
            meanwhile = "created by another client meanwhile: it stays."
        elif field.path == WHOLE and value is None:
            meanwhile = "deleted by another client meanwhile: create it again if it is needed."
        return f"{field} was {meanwhile}" if meanwhile is not None else None


def plan_restore(client: Client, held: HeldLock | None = None) -> RestorePlan | None:
    """The plan of a restore, by the lock's snapshot alone; None: there is no lock, so nothing was changed.

    `held`: the lock; None: find it.

    Raises:
        Problem: the snapshot can't be restored on this cluster.
    """
    held = held or lock.find_lock(client)
    if held is None:
        return None
    standing = read_state(client, to_switch=True).as_taken(snapshot_objects(held.snapshot))
    try:
        original = original_fields(standing, held.snapshot)
    except Problem as problem:
        raise Problem(f"{client.where}: {problem}") from None
    current = fields.state(standing.lookup(field.ref for field in original), tuple(original))
    return RestorePlan(held, standing, original, current, desired_state.restored(original, current))


def restore(around: Surroundings, prove: Callable[[], None] = lambda: None) -> list[Change]:
    """Restore everything, and release the lock. The caller has checked that the lock may be restored.

    `prove` is called once the objects are restored, before the lock is released; if it raises, the lock is kept, and
    the next call proves again. It is called even where nothing had to change, since an earlier call may have been
    killed before its proof.

    Raises:
        Problem: an action failed, or the snapshot can't be restored; a second call continues there.
    """
    client = around.client
    found = plan_restore(client)
    if found is None:
        return []
    changes = ActionExecutor(around, found.facts, found.held).carry_out(found.todo)
    for sentence in found.left:
        around.say(sentence)
    lock.require_right(client, found.held, around.owner)  # else it is another's switch that is found
    # the lock is kept unless every field has its wanted value
    after = plan_restore(client, found.held)
    wrong = [str(field) for field, value in after.wanted.items() if after.current.get(field) != value] if after else []
    if wrong:
        raise Problem(
            f"{client.where}: {', '.join(wrong)} changed again after the restore: something else sets it "
            "(GitOps, an operator); stop that, and repeat the restore. The snapshot is kept."
        )
    prove()
    lock.release_lock(client, found.held, around.owner)
    return changes


def restore_commands(client: Client) -> list[str]:
    """The kubectl commands equivalent to a restore. Changes nothing."""
    found = plan_restore(client)
    if found is None:
        return []
    lines = [kubectl_command(action, found.facts) for action in found.todo]
    return [*lines, f"kubectl -n {KUBE_SYSTEM} delete configmap {STATE}"]
