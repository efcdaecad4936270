"""The order of the actions that lead a cluster from one state to another. Pure.

Switching and restoring share the order: kube-proxy is parked before Felix removes its rules, returns only once Felix
has left eBPF, and is restarted for a new mode. Where the operator installed Calico, its Installation is changed first,
and FelixConfiguration once every node runs what that made: the operator rolls calico-node out node by node, and a Felix
that restarts for another setting meanwhile was seen to leave the nodes' own processes without Services for minutes.

On the way to eBPF the operator (1.42.3) may itself enable eBPF before it has replaced a calico-node, since it reads the
DaemonSet from its cache. Felix on that node then numbers the Services, and the replacement, which tells the kernel the
API server's address (bpfNetworkBootstrap), gives the API server's Service the number of another one. From then on the
node connects to that one instead, calico-node can't start on it any more, and only a reboot helps. So bpfEnabled is
removed first: the operator leaves it alone while it differs from what its annotation says. When every calico-node is
replaced it is put back, and the operator enables eBPF.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from steps.cluster.kube.api import fields
from steps.cluster.kube.api.fields import WHOLE, Field, FieldValues, Value
from steps.cluster.kube.plugins.calico.implementation import BPF
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.switching.actions import (
    Action,
    AwaitRollout,
    Create,
    Delete,
    RestartKubeProxy,
    Write,
)
from steps.cluster.kube.plugins.calico.switching.fields import (
    INSTALLATION,
    LINUX_DATAPLANE,
    MANAGEMENT,
    PARKING,
    PROXY,
    PROXY_CONFIG,
    runs_ebpf,
)

_PROXY_BACK: Final = AwaitRollout("kube-proxy rolled out")
_OFF_EBPF: Final = AwaitRollout("Felix off eBPF")
_ON_EBPF: Final = AwaitRollout("Felix on eBPF")


def order(
    current: FieldValues, wanted: FieldValues, facts: Facts, *, outdated: bool, final: bool = False
) -> list[Action]:
    """The actions that lead from one state to another; none where they are equal.

    `outdated`: kube-proxy has pods older than its configuration: an earlier switch was interrupted. `final`: nothing
    follows, so kube-proxy's rollout is awaited even where an earlier call started it.
    """
    changes = fields.field_differences(current, wanted)
    actions = _to_ebpf if runs_ebpf({**current, **changes}) else _to_rules
    steps = actions(current, changes, facts, outdated=outdated)
    proxy = facts.kube_proxy
    if final and actions is _to_rules and proxy is not None and not kube_proxy.runs_nowhere(proxy):
        steps += [] if _PROXY_BACK in steps else [_PROXY_BACK]
    whole = {field: value for field, value in changes.items() if field.path == WHOLE}
    if actions is _to_rules:
        steps += [Create(field.ref, body) for field, body in whole.items() if isinstance(body, dict)]
    return steps + [Delete(field.ref) for field, body in whole.items() if body is None]


def _to_ebpf(current: FieldValues, changes: FieldValues, facts: Facts, *, outdated: bool) -> list[Action]:
    parking = {**current, **changes}.get(PARKING)
    calico = _calico(changes)
    steps = _writes(_proxy_config(changes), current)
    if facts.kube_proxy is not None and not kube_proxy.runs_nowhere(facts.kube_proxy):
        steps += _restart(changes, facts, outdated=outdated)
    steps += [
        Create(field.ref, body) for field, body in changes.items() if field.path == WHOLE and isinstance(body, dict)
    ]
    if changes.get(PARKING) is not None:
        steps += _writes({PARKING: parking}, current)
    if parking is not None and (PARKING in changes or calico):
        steps += [AwaitRollout("kube-proxy parked")]
    steps += _written_in_turn(calico, current, facts)
    if PARKING in changes and parking is None:
        steps += [*_writes({PARKING: None}, current), _PROXY_BACK]
    return steps


def _to_rules(current: FieldValues, changes: FieldValues, facts: Facts, *, outdated: bool) -> list[Action]:
    calico = _calico(changes)
    management = {MANAGEMENT: calico.pop(MANAGEMENT)} if MANAGEMENT in calico else {}
    steps = _written_in_turn(calico, current, facts)
    steps += _writes(_proxy_config(changes), current)
    if PARKING not in changes:
        steps += _restart(changes, facts, outdated=outdated)
    elif changes[PARKING] is None:
        waited = [] if _OFF_EBPF in steps else [_OFF_EBPF]
        steps += [*waited, *_writes({PARKING: None}, current), _PROXY_BACK]
    else:
        steps += [*_writes({PARKING: changes[PARKING]}, current), AwaitRollout("kube-proxy parked")]
    if management:
        # the operator brings kube-proxy back only while it manages it
        steps += [_PROXY_BACK, *_writes(management, current)]
    return steps


def _restart(changes: FieldValues, facts: Facts, *, outdated: bool) -> list[Action]:
    """Restart kube-proxy for its new configuration, unless a switch has parked it.

    Where the operator has, it brings kube-proxy back before the configuration is written.
    """
    proxy = facts.kube_proxy
    if proxy is None or kube_proxy.is_parked(proxy) or not (outdated or _proxy_config(changes)):
        return []
    return [RestartKubeProxy(), _PROXY_BACK]


def _proxy_config(changes: FieldValues) -> dict[Field, Value]:
    return {field: value for field, value in changes.items() if field.ref == PROXY_CONFIG}


def _calico(changes: FieldValues) -> dict[Field, Value]:
    return {f: value for f, value in changes.items() if f.ref not in {PROXY, PROXY_CONFIG} and f.path != WHOLE}


def _writes(changes: Mapping[Field, Value], current: FieldValues) -> list[Action]:
    return [
        Write(ref, values, {path: current.get(Field(ref, path)) for path in values})
        for ref, values in fields.by_object(changes).items()
    ]


def _written_in_turn(calico: Mapping[Field, Value], current: FieldValues, facts: Facts) -> list[Action]:
    """Write Calico's settings: the Installation's, and once they are in effect on every node, Felix's own."""
    if facts.install != "operator":
        return _writes(calico, current)
    first = {field: value for field, value in calico.items() if field.ref == INSTALLATION}
    then = {field: value for field, value in calico.items() if field.ref != INSTALLATION and field.path[-1:] != (BPF,)}
    enabled = _enabled_later(current, facts)
    if not (first or then or (enabled and enabled.held)):
        return []
    ebpf = runs_ebpf({**current, **first})
    # also where an earlier call wrote the Installation and was interrupted
    if enabled and ebpf and (enabled.held or LINUX_DATAPLANE in first):
        steps = [*enabled.hold, *_writes(first, current), AwaitRollout("calico-node rolled out"), enabled.release]
    elif enabled and enabled.held:
        # before it has seen an Installation without eBPF, the operator would enable it for a moment
        steps = [*_writes(first, current), AwaitRollout("Installation seen"), enabled.release]
    else:
        steps = _writes(first, current)
    steps += [AwaitRollout("Calico available")]
    if then:
        steps += [_ON_EBPF if ebpf else _OFF_EBPF, *_writes(then, current)]
    return steps


@dataclass(frozen=True, slots=True)
class _EnabledLater:
    """The writes by which the operator is kept from enabling eBPF, and then allowed to.

    `held`: it is kept from it now, by a switch that was interrupted.
    """

    hold: list[Action]
    release: Action
    held: bool


def _enabled_later(current: FieldValues, facts: Facts) -> _EnabledLater | None:
    """None: the operator can't be kept from enabling eBPF, or has enabled it."""
    field = next((field for field in current if field.path[-1:] == (BPF,)), None)
    if field is None or facts.operator_bpf != "false":
        return None
    release = Write(field.ref, {field.path: False}, {field.path: None})
    held = current[field] is None
    return _EnabledLater([] if held else [Write(field.ref, {field.path: None}, {field.path: False})], release, held)
