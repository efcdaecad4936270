"""Switch a cluster to a dataplane, from whatever state it is in; finish what was begun."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analysis import formatting
from analysis.errors import Problem, Unsupported
from steps.catalogue.dataplanes import AS_IS, BY_NAME
from steps.catalogue.options import Settings
from steps.cluster.kube import lock as state
from steps.cluster.kube import snapshot
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import FIELD_MANAGER, Client
from steps.cluster.kube.api.fields import Field, Ref, Value
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.api.permissions import felix_configurations
from steps.cluster.kube.calico import compatibility, desired_state, direct_return, kube_proxy
from steps.cluster.kube.calico import facts as discover
from steps.cluster.kube.calico.actions import Action, Create, command
from steps.cluster.kube.calico.dry_run import dry_run_writes
from steps.cluster.kube.calico.executor import ActionExecutor, Say
from steps.cluster.kube.calico.facts import Facts
from steps.cluster.kube.calico.objects import ClusterObjects, read_objects
from steps.cluster.kube.lock import LockOwner
from steps.domain import Change, Finding, Visit

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClusterState:
    """How a cluster stands: what was read, the facts, and what the touchable fields hold."""

    seen: ClusterObjects
    facts: Facts
    objects: Mapping[Ref, Object | None]
    current: dict[Field, Value]

    @property
    def dataplane(self) -> str | None:
        """What runs, by its name in the catalogue; None where that is unknown."""
        return self.facts.dataplane

    @property
    def nodes(self) -> tuple[ClusterNode, ...]:
        """All nodes of the cluster."""
        return self.facts.nodes

    def outside_findings(self, outside: ClusterNode, entry: str, settings: Settings) -> Iterator[Finding]:
        """What Felix's opt-outs from direct return mean for a client outside, which asks at the node `entry`."""
        return direct_return.findings(self.facts.dsr_opt_outs, outside, entry, settings)

    @property
    def stale(self) -> bool:
        """Whether kube-proxy has pods that are older than its configuration."""
        written = kube_proxy.written_at(self.seen.kube_proxy_config, FIELD_MANAGER)
        return bool(kube_proxy.stale_pods(self.seen.kube_proxy_pods, written))

    @property
    def changed_at(self) -> datetime | None:
        """When we last changed a field that decides the dataplane, by the server's clock; None if we never did."""
        deciding = (self.seen.felix_default, self.seen.installation, self.seen.kube_proxy, self.seen.kube_proxy_config)
        times = [kube_proxy.written_at(found, FIELD_MANAGER) for found in deciding]
        return max((at for at in times if at is not None), default=None)

    def found(self, refs: Iterable[Ref]) -> dict[Ref, Object | None]:
        """These objects as they were read; None: absent, or of a kind that this cluster has not got."""
        return {ref: _found(self.seen, ref) for ref in refs}


def read_state(client: Client, *, to_switch: bool) -> ClusterState:
    """Read how the cluster stands. `to_switch`: with what only the switching account may read."""
    seen = read_objects(client, to_switch=to_switch)
    facts = discover.read_facts(seen)
    wanted = desired_state.touchable(facts)
    objects = {field.ref: _found(seen, field.ref) for field in wanted}
    return ClusterState(seen, facts, objects, desired_state.state(objects, wanted))


def take_snapshot(client: Client, standing: ClusterState, asked_nodes: str) -> Object:
    """What is there now, as it would be put back."""
    chosen = nodes.choose_nodes(standing.facts.nodes, asked_nodes)
    return snapshot.take_snapshot(
        standing.objects,
        chosen,
        client.now(),
        dataplane=standing.facts.dataplane,
        kube_proxy_config_key=standing.facts.kube_proxy_config_key,
    )


def plan_switch(standing: ClusterState, dataplane: str, original: Object | None) -> list[Action]:
    """The actions that lead from here to a dataplane; `original` is the snapshot from before the run, if there is one.

    Raises:
        Unsupported: this cluster can't be switched to it.
    """
    facts, current = standing.facts, standing.current
    before = original_fields(original) if original else current
    if dataplane == AS_IS:
        # what ran before the run, which an earlier visit may have changed
        return desired_state.order(current, desired_state.restored(before, current), facts, stale=standing.stale)
    if reason := cannot_switch(facts):
        raise Unsupported(reason)
    if found := compatibility.in_vain(facts, dataplane):
        raise Unsupported(formatting.sentences(found.reason, found.remedy))
    api_server = next(iter(standing.seen.api_servers), None)
    wanted = desired_state.target(dataplane, facts, current, before, api_server)
    return desired_state.order(current, wanted, facts, stale=standing.stale)


def configure(
    client: Client,
    owner: LockOwner,
    dataplane: str,
    asked_nodes: str,
    say: Say,
    sleep: Callable[[float], None],
    *,
    visit: Visit | None = None,
    before: Callable[[ClusterState, tuple[str, ...], bool], None] = lambda _standing, _measured, _switches: None,
) -> list[Change]:
    """Switch, with every write tried first, and the lock taken and the snapshot written before the first change.

    A dataplane that an earlier visit found unavailable here is not tried again.

    Args:
        client: of the cluster.
        owner: who asks, and holds the cluster from now on.
        dataplane: of the catalogue, without label.
        asked_nodes: the two nodes that a person chose; empty: choose.
        say: called with a sentence for what is done.
        sleep: passes time.
        visit: of the run that it is for, which the lock then names; None: a person asks, or a visit is left.
        before: is called once the cluster is held and before the first change, with the measured nodes and whether
            there is a change.

    Raises:
        Unsupported: somebody else holds the cluster, or it can't be switched, to this dataplane or at all; or a write
        of the
            switch would fail. Nothing was changed then.
        Problem: an action failed; calling again goes on from there.
    """
    standing = read_state(client, to_switch=True)
    held = state.find_lock(client)
    taken = held.snapshot if held else take_snapshot(client, standing, asked_nodes)
    todo = plan_switch(standing, dataplane, taken)
    if held is not None and held.owner != owner:
        raise Unsupported(state.held_by_another(client.where, held))
    if held is not None and (reason := held.unfit.get(dataplane)):
        raise Unsupported(f"{dataplane} was tried earlier in this run and can't be had here: {reason}")
    if not todo and owner.workflow is None:
        return []  # a person who finds the cluster as wanted has nothing to put back
    lock = Create(state.LOCK, state.lock(owner, taken, client.now()))
    dry_run_writes(client, standing.facts, standing.seen.kube_proxy_pods, todo if held is not None else [lock, *todo])
    # a run holds the cluster from its first visit on, lest another switches it under one that had nothing to change
    held = held or state.take_lock(client, owner, taken, client.now())
    state.add_note(client, held, ebpf=BY_NAME[dataplane].bpf and not held.ebpf, visit=visit)
    before(standing, tuple(taken["nodes"]), bool(todo))
    return ActionExecutor(client, standing.facts, say, sleep).carry_out(todo)


def switch_commands(client: Client, dataplane: str) -> list[str]:
    """The kubectl lines that switching would amount to now. Changes nothing."""
    standing = read_state(client, to_switch=True)
    held = state.find_lock(client)
    todo = plan_switch(standing, dataplane, held.snapshot if held else None)
    return [command(action, standing.facts) for action in todo]


def cannot_switch(facts: Facts) -> str | None:
    """Why the dataplane of this cluster can't be switched at all; None if it can."""
    if facts.vpp:
        return "Calico runs VPP here, which is no switch but another cluster: measure it as it is (as-is)."
    if facts.install is None:
        others = f" ({', '.join(facts.other_cnis)} is)" if facts.other_cnis else ""
        return f"Calico is not what forwards packets here{others}: measure it as it is (as-is)."
    return None


def snapshot_objects(taken: Object) -> dict[Ref, Object | None]:
    """The objects of a snapshot.

    Raises:
        Problem: it makes no sense.
    """
    try:
        return snapshot.snapshot_objects(taken)
    except (KeyError, TypeError) as error:
        raise Problem(f"the snapshot makes no sense: {error} is missing or wrong in it.") from None


def original_fields(taken: Object) -> dict[Field, Value]:
    """What was touchable when a snapshot was taken, and what it held."""
    objects = snapshot_objects(taken)
    return desired_state.state(objects, desired_state.snapshotted(objects, taken.get("kube_proxy_config_key")))


def _found(seen: ClusterObjects, ref: Ref) -> Object | None:
    if ref == desired_state.PROXY:
        return seen.kube_proxy
    if ref == desired_state.PROXY_CONFIG:
        return seen.kube_proxy_config
    if ref == desired_state.INSTALLATION:
        return seen.installation
    if ref.namespace in seen.services_endpoints:
        return seen.services_endpoints[ref.namespace]
    felix = seen.group is not None and ref.resource == felix_configurations(seen.group)
    return seen.felix_default if felix else None
