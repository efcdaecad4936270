"""Switch a cluster to a dataplane, from whatever state it is in; finish what was begun."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analysis import words
from analysis.errors import Problem, Unfit
from steps.catalogue.dataplanes import AS_IS, BY_NAME
from steps.cluster.kube import direct_return, discover, kube_proxy, nodes, patches, state, unfit
from steps.cluster.kube.actions import Action, Create, command
from steps.cluster.kube.apply import Applier, Say
from steps.cluster.kube.client import FIELD_MANAGER, Client
from steps.cluster.kube.discover import Facts
from steps.cluster.kube.fields import Field, Ref, Value
from steps.cluster.kube.nodes import Node
from steps.cluster.kube.permissions import felix_configurations
from steps.cluster.kube.rehearsal import rehearse
from steps.cluster.kube.seen import Seen, look
from steps.cluster.kube.state import Owner
from steps.model import Change, Finding, Visit
from steps.settings import Settings

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a cluster stands: what was read, the facts, and what the touchable fields hold."""

    seen: Seen
    facts: Facts
    objects: Mapping[Ref, Object | None]
    current: dict[Field, Value]

    @property
    def dataplane(self) -> str | None:
        """What runs, by its name in the catalogue; None where that can't be told."""
        return self.facts.dataplane

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes of the cluster."""
        return self.facts.nodes

    def outside_findings(self, outside: Node, entry: str, settings: Settings) -> Iterator[Finding]:
        """What Felix's opt-outs from direct return mean for a client outside, which asks at the node `entry`."""
        return direct_return.findings(self.facts.dsr_opt_outs, outside, entry, settings)

    @property
    def stale(self) -> bool:
        """Whether kube-proxy has pods that are older than its configuration."""
        written = kube_proxy.written_at(self.seen.kube_proxy_config, FIELD_MANAGER)
        return bool(kube_proxy.stale(self.seen.kube_proxy_pods, written))

    @property
    def changed_at(self) -> datetime | None:
        """When we last changed a field that decides the dataplane, by the server's clock; None if we never did."""
        deciding = (self.seen.felix_default, self.seen.installation, self.seen.kube_proxy, self.seen.kube_proxy_config)
        times = [kube_proxy.written_at(found, FIELD_MANAGER) for found in deciding]
        return max((at for at in times if at is not None), default=None)

    def found(self, refs: Iterable[Ref]) -> dict[Ref, Object | None]:
        """These objects as they were read; None: absent, or of a kind that this cluster has not got."""
        return {ref: _found(self.seen, ref) for ref in refs}


def stand(client: Client, *, to_switch: bool) -> Standing:
    """Read how the cluster stands. `to_switch`: with what only the switching account may read."""
    seen = look(client, to_switch=to_switch)
    facts = discover.facts(seen)
    wanted = patches.touchable(facts)
    objects = {field.ref: _found(seen, field.ref) for field in wanted}
    return Standing(seen, facts, objects, patches.state(objects, wanted))


def snapshot(client: Client, standing: Standing, asked_nodes: str) -> Object:
    """What is there now, as it would be put back."""
    chosen = nodes.choose(standing.facts.nodes, asked_nodes)
    return state.snapshot(
        standing.objects,
        chosen,
        client.now(),
        dataplane=standing.facts.dataplane,
        kube_proxy_config_key=standing.facts.kube_proxy_config_key,
    )


def plan(standing: Standing, dataplane: str, original: Object | None) -> list[Action]:
    """The actions that lead from here to a dataplane; `original` is the snapshot from before the run, if there is one.

    Raises:
        Unfit: this cluster can't be switched to it.
    """
    facts, current = standing.facts, standing.current
    before = original_fields(original) if original else current
    if dataplane == AS_IS:
        # what ran before the run, which an earlier visit may have changed
        return patches.order(current, patches.restored(before, current), facts, stale=standing.stale)
    if reason := cannot_switch(facts):
        raise Unfit(reason)
    if found := unfit.in_vain(facts, dataplane):
        raise Unfit(words.sentences(found.reason, found.remedy))
    api_server = next(iter(standing.seen.api_servers), None)
    wanted = patches.target(dataplane, facts, current, before, api_server)
    return patches.order(current, wanted, facts, stale=standing.stale)


def configure(
    client: Client,
    owner: Owner,
    dataplane: str,
    asked_nodes: str,
    say: Say,
    sleep: Callable[[float], None],
    *,
    visit: Visit | None = None,
    before: Callable[[Standing, tuple[str, ...], bool], None] = lambda _standing, _measured, _switches: None,
) -> list[Change]:
    """Switch, with every write tried first, and the lock taken and the snapshot written before the first change.

    A dataplane that an earlier visit found not to be had here is not tried again.

    Args:
        client: of the cluster.
        owner: who asks, and holds the cluster from now on.
        dataplane: of the catalogue, without label.
        asked_nodes: the two nodes that a person chose; empty: choose.
        say: hears what is done.
        sleep: passes time.
        visit: of the run that it is for, which the lock then names; None: a person asks, or a visit is left.
        before: is called once the cluster is held and before the first change, with the measured nodes and whether
            there is a change.

    Raises:
        Unfit: somebody else holds the cluster, or it can't be switched, to this dataplane or at all; or a write of the
            switch would fail. Nothing was changed then.
        Problem: an action failed; calling again goes on from there.
    """
    standing = stand(client, to_switch=True)
    held = state.find(client)
    taken = held.snapshot if held else snapshot(client, standing, asked_nodes)
    todo = plan(standing, dataplane, taken)
    if held is not None and held.owner != owner:
        raise Unfit(state.taken(client.where, held))
    if held is not None and (reason := held.unfit.get(dataplane)):
        raise Unfit(f"{dataplane} was tried earlier in this run and can't be had here: {reason}")
    if not todo and owner.workflow is None:
        return []  # a person who finds the cluster as wanted has nothing to put back
    lock = Create(state.LOCK, state.lock(owner, taken, client.now()))
    rehearse(client, standing.facts, standing.seen.kube_proxy_pods, todo if held is not None else [lock, *todo])
    # a run holds the cluster from its first visit on, lest another switches it under one that had nothing to change
    held = held or state.take(client, owner, taken, client.now())
    state.note(client, held, ebpf=BY_NAME[dataplane].bpf and not held.ebpf, visit=visit)
    before(standing, tuple(taken["nodes"]), bool(todo))
    return Applier(client, standing.facts, say, sleep).carry_out(todo)


def dry_run(client: Client, dataplane: str) -> list[str]:
    """The kubectl lines that switching would amount to now. Changes nothing."""
    standing = stand(client, to_switch=True)
    held = state.find(client)
    todo = plan(standing, dataplane, held.snapshot if held else None)
    return [command(action, standing.facts) for action in todo]


def cannot_switch(facts: Facts) -> str | None:
    """Why the dataplane of this cluster can't be switched at all; None if it can."""
    if facts.vpp:
        return "Calico runs VPP here, which is no switch but another cluster: measure it as it is (as-is)."
    if facts.install is None:
        others = f" ({', '.join(facts.other_cnis)} is)" if facts.other_cnis else ""
        return f"Calico is not what forwards packets here{others}: measure it as it is (as-is)."
    return None


def kept(taken: Object) -> dict[Ref, Object | None]:
    """The objects of a snapshot.

    Raises:
        Problem: it makes no sense.
    """
    try:
        return state.objects(taken)
    except (KeyError, TypeError) as error:
        raise Problem(f"the snapshot makes no sense: {error} is missing or wrong in it.") from None


def original_fields(taken: Object) -> dict[Field, Value]:
    """What was touchable when a snapshot was taken, and what it held."""
    objects = kept(taken)
    return patches.state(objects, patches.snapshotted(objects, taken.get("kube_proxy_config_key")))


def _found(seen: Seen, ref: Ref) -> Object | None:
    if ref == patches.PROXY:
        return seen.kube_proxy
    if ref == patches.PROXY_CONFIG:
        return seen.kube_proxy_config
    if ref == patches.INSTALLATION:
        return seen.installation
    if ref.namespace in seen.services_endpoints:
        return seen.services_endpoints[ref.namespace]
    felix = seen.group is not None and ref.resource == felix_configurations(seen.group)
    return seen.felix_default if felix else None
