"""Restore a cluster, field by field, to its state from before a run; may be repeated any number of times."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from analysis.errors import Problem
from steps.catalogue.dataplanes import BY_NAME
from steps.cluster.kube import lock
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.fields import WHOLE, Field, Value, merge_patch, patch_command
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.calico.inventory import kube_proxy
from steps.cluster.kube.calico.inventory.facts import Facts
from steps.cluster.kube.calico.switching import desired_state, fields
from steps.cluster.kube.calico.switching.actions import Action, command
from steps.cluster.kube.calico.switching.cluster_state import ClusterState, read_state
from steps.cluster.kube.calico.switching.executor import ActionExecutor, Say
from steps.cluster.kube.calico.switching.fields import PARKING
from steps.cluster.kube.calico.switching.order import order
from steps.cluster.kube.calico.switching.snapshot import original_fields
from steps.cluster.kube.lock import HeldLock
from steps.domain import Change

Object = dict[str, Any]

KERNEL: Final = (
    "The API objects are restored. The nodes' kernels keep traces of eBPF: kernel.unprivileged_bpf_disabled stays set "
    "until a reboot, and rp_filter, accept_local, bpf_jit_harden and the mounts of bpffs and cgroups may differ."
)
"""What no restore can put back after eBPF was switched on."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """The actions of a restore. `left`: what it can't put back, as sentences."""

    facts: Facts
    held: HeldLock
    todo: list[Action]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Compared:
    """The fields of a snapshot: their original, current and wanted values."""

    standing: ClusterState
    original: dict[Field, Value]
    current: dict[Field, Value]
    wanted: dict[Field, Value]


def plan_restore(client: Client) -> RestorePlan | None:
    """The plan of a restore, by the lock's snapshot alone; None: there is no lock, so nothing was changed.

    Raises:
        Problem: a field of the snapshot can't be compared with its present value.
    """
    held = lock.find_lock(client)
    if held is None:
        return None
    found = _compare(client, held.snapshot)
    facts = replace(found.standing.facts, install=found.standing.install)
    current = {**found.standing.current, **found.current}
    todo = order(current, found.wanted, facts, outdated=found.standing.kube_proxy_outdated, final=True)
    return RestorePlan(facts, held, todo, _left(found, held.snapshot, had_ebpf=held.ebpf))


def restore(
    client: Client,
    say: Say,
    sleep: Callable[[float], None],
    prove: Callable[[], None] = lambda: None,
) -> list[Change]:
    """Restore everything, and release the lock. The caller has checked that the lock may be restored.

    Args:
        client: of the cluster.
        say: called with a sentence for each action, and for what can't be restored.
        sleep: passes time.
        prove: called once the objects are restored, before the lock is released; if it raises, the lock is kept, and
            the next call proves again. It is called even where nothing had to change, since an earlier call may have
            been killed before its proof.

    Raises:
        Problem: an action failed, or a field can't be compared; a second call continues there.
    """
    found = plan_restore(client)
    if found is None:
        return []
    changes = ActionExecutor(client, found.facts, say, sleep).carry_out(found.todo)
    for sentence in found.left:
        say(sentence)
    _check(client, found.held)
    prove()
    lock.release_lock(client, found.held)
    return changes


def restore_commands(client: Client) -> list[str]:
    """The kubectl commands equivalent to a restore. Changes nothing."""
    found = plan_restore(client)
    if found is None:
        return []
    lines = [command(action, found.facts) for action in found.todo]
    return [*lines, f"kubectl -n {KUBE_SYSTEM} delete configmap {STATE}"]


def _compare(client: Client, taken: Object) -> _Compared:
    """Compare every field of a snapshot with its present value.

    Raises:
        Problem: the snapshot can't be restored on this cluster.
    """
    standing = read_state(client, to_switch=True)
    try:
        original = original_fields(standing, taken)
    except Problem as problem:
        raise Problem(f"{client.where}: {problem}") from None
    current = fields.state(standing.lookup(field.ref for field in original), tuple(original))
    return _Compared(standing, original, current, desired_state.restored(original, current))


def _check(client: Client, held: HeldLock) -> None:
    """Compare again after a restore: the lock is kept unless every field has its wanted value."""
    found = _compare(client, held.snapshot)
    wrong = [str(field) for field, value in found.wanted.items() if found.current.get(field) != value]
    if wrong:
        raise Problem(
            f"{client.where}: {', '.join(wrong)} changed again after the restore: something else sets it "
            "(GitOps, an operator); stop that, and repeat the restore. The snapshot is kept."
        )


def _left(found: _Compared, taken: Object, *, had_ebpf: bool) -> tuple[str, ...]:
    sentences = []
    for field, value in found.wanted.items():
        original = found.original[field]
        now = found.current.get(field)
        if fields.is_configuration(field) and not (isinstance(now, str) and kube_proxy.is_configuration(now)):
            sentences.append(
                f"{field} was no valid configuration of kube-proxy; the one from before the run replaces it. It was: "
                f"{str(now)[:2000]!r}"
            )
        elif fields.is_configuration(field) and value != original:
            sentences.append(f"{field} was changed by another client meanwhile: only its mode was restored.")
        elif field == PARKING and value != original:
            patch = patch_command(field.ref, merge_patch({field.path: original}))
            sentences.append(
                f"{field.ref} was kept off every node before the run, without eBPF; it stays on, since nothing else "
                f"would serve Services. To switch it off: `{patch}`."
            )
        elif field.path == WHOLE and original is None and value is not None:
            sentences.append(f"{field} was created by another client meanwhile: it stays.")
        elif field.path == WHOLE and original is not None and value is None:
            sentences.append(f"{field} was deleted by another client meanwhile: create it again if it is needed.")
    if (had_ebpf or fields.runs_ebpf(found.current)) and not _is_bpf(taken.get("dataplane")):
        sentences.append(KERNEL)
    return tuple(sentences)


def _is_bpf(dataplane: object) -> bool:
    """Whether a snapshot's dataplane is eBPF; None: it was unknown."""
    entry = BY_NAME.get(str(dataplane))
    return entry is not None and entry.bpf
