"""Put a cluster back as it was before a run: field by field, no matter who changed it, any number of times."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from analysis.errors import Problem
from steps.catalogue.dataplanes import BY_NAME
from steps.cluster.kube import lock
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.fields import WHOLE, Field, Value
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.calico import desired_state, kube_proxy, switch
from steps.cluster.kube.calico.actions import Action, command
from steps.cluster.kube.calico.desired_state import INSTALLATION, PROXY_CONFIG
from steps.cluster.kube.calico.executor import ActionExecutor, Say
from steps.cluster.kube.calico.facts import Facts
from steps.cluster.kube.calico.switch import ClusterState, read_state
from steps.cluster.kube.lock import HeldLock
from steps.domain import Change

Object = dict[str, Any]

KERNEL: Final = (
    "The API objects are as they were. The nodes' kernels keep what eBPF left: kernel.unprivileged_bpf_disabled stays "
    "set until a reboot, and rp_filter, accept_local, bpf_jit_harden and the mounts of bpffs and cgroups may differ."
)
"""What no restore can put back; true wherever eBPF was switched on, whatever runs by now."""


_GONE: Final = (
    f"if it is gone for good, put back by hand what the snapshot names, and delete that: "
    f"kubectl -n {KUBE_SYSTEM} delete configmap {STATE}"
)


_LONGEST_QUOTE: Final = 2000


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What restoring would do. `left`: what it can't put back, as sentences."""

    facts: Facts
    held: HeldLock
    todo: list[Action]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Compared:
    """What the fields of a snapshot held, what they hold, and what they shall hold."""

    standing: ClusterState
    original: dict[Field, Value]
    current: dict[Field, Value]
    wanted: dict[Field, Value]


def plan_restore(client: Client) -> RestorePlan | None:
    """What to do to put the cluster back; None where nobody holds it, so that nothing was changed.

    The lock's own snapshot is all that counts: what a bucket holds, others may have written.

    Raises:
        Problem: a field of the snapshot can't be compared, so that nobody knows whether it is as it was.
    """
    held = lock.find_lock(client)
    if held is None:
        return None
    found = _compare(client, held.snapshot)
    facts = found.standing.facts
    if facts.install is None:
        # calico-node is away for the moment; the snapshot says how to put back what it is told by
        facts = replace(facts, install="operator" if any(f.ref == INSTALLATION for f in found.original) else "manifest")
    current = {**found.standing.current, **found.current}
    todo = desired_state.order(current, found.wanted, facts, stale=found.standing.stale, over=True)
    return RestorePlan(facts, held, todo, _left(found, held.snapshot, had_ebpf=held.ebpf))


def restore(
    client: Client,
    say: Say,
    sleep: Callable[[float], None],
    prove: Callable[[], None] = lambda: None,
) -> list[Change]:
    """Put everything back, and give the lock back when that is done. Whether that is ours to do, says `state.is_ours`.

    Args:
        client: of the cluster.
        say: called with a sentence for what is done and for what can't be.
        sleep: passes time.
        prove: is called when the objects are as they were, and before the lock is given back: what it raises keeps the
            lock, so that a second call proves it again. A call that finds nothing to change may come after one that was
            killed in between, and has as much to prove.

    Raises:
        Problem: an action failed, or a field can't be compared; calling again goes on from there.
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
    """The kubectl lines that restoring would amount to now. Changes nothing."""
    found = plan_restore(client)
    if found is None:
        return []
    lines = [command(action, found.facts) for action in found.todo]
    return [*lines, f"kubectl -n {KUBE_SYSTEM} delete configmap {STATE}"]


def _compare(client: Client, taken: Object) -> _Compared:
    """Read again every field that a snapshot holds.

    Raises:
        Problem: one can't be read. The snapshot is not to be given up then, and nothing is changed.
    """
    standing = read_state(client, to_switch=True)
    objects = switch.snapshot_objects(taken)
    original = switch.original_fields(taken)
    now = standing.found(objects)
    if reasons := desired_state.unreadable(original, objects, now):
        raise Problem(
            f"{client.where}: {'; '.join(reasons)}: so it can't be put back, and nothing was. The snapshot is kept: "
            f"bring it back, and restore again; {_GONE}."
        )
    current = desired_state.state(now, tuple(original))
    return _Compared(standing, original, current, desired_state.restored(original, current))


def _check(client: Client, held: HeldLock) -> None:
    """Restoring is over only when the fields hold what they held: the lock and snapshot stay until then."""
    found = _compare(client, held.snapshot)
    wrong = [str(field) for field, value in found.wanted.items() if found.current.get(field) != value]
    if wrong:
        raise Problem(
            f"{client.where}: {', '.join(wrong)} changed again after being put back: something else sets it "
            "(GitOps, an operator); stop that, and restore again. The snapshot is kept."
        )


def _left(found: _Compared, taken: Object, *, had_ebpf: bool) -> tuple[str, ...]:
    sentences = []
    for field, value in found.wanted.items():
        if field.path != WHOLE and value != found.original.get(field):
            sentences.append(f"{field} was changed by somebody else meanwhile: only its mode was put back.")
        elif field.ref == PROXY_CONFIG and _is_unreadable(found.current.get(field)):
            sentences.append(
                f"{field} could not be read as a configuration of kube-proxy; the one from before "
                f"the run replaces it. What it held: {str(found.current.get(field))[:_LONGEST_QUOTE]!r}"
            )
        if field.path == WHOLE and found.original.get(field) is None and value is not None:
            sentences.append(f"{field} was made by somebody else meanwhile: it stays.")
    runs_ebpf = any((bool(v) and f.path[-1:] == ("bpfEnabled",)) or v == "BPF" for f, v in found.current.items())
    if (had_ebpf or runs_ebpf) and not _is_bpf(taken.get("dataplane")):
        sentences.append(KERNEL)
    return tuple(sentences)


def _is_bpf(dataplane: object) -> bool:
    """Whether a dataplane as a snapshot names it is eBPF; None: it was not known which one ran."""
    entry = BY_NAME.get(str(dataplane))
    return entry is not None and entry.bpf


def _is_unreadable(held: Value) -> bool:
    return isinstance(held, str) and not kube_proxy.is_configuration(held)
