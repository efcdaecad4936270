"""Switch a cluster to a dataplane from any state, also one that an interrupted switch left."""

from collections.abc import Callable

from analysis import formatting
from analysis.errors import Unsupported
from steps.catalogue.dataplanes import AS_IS, BY_NAME
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.ownership import lock, notes
from steps.cluster.kube.ownership.snapshot import snapshot_objects
from steps.cluster.kube.plugins.calico.compatibility import incompatibilities
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.switching import desired_state, fields
from steps.cluster.kube.plugins.calico.switching.actions import Action, Create, kubectl_command
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState, read_state
from steps.cluster.kube.plugins.calico.switching.dry_run import dry_run_writes
from steps.cluster.kube.plugins.calico.switching.executor import ActionExecutor
from steps.cluster.kube.plugins.calico.switching.order import order
from steps.cluster.kube.plugins.calico.switching.snapshot import original_fields, take_snapshot
from steps.domain import Change, Visit

Preparation = Callable[[ClusterState, tuple[str, ...]], None]


def plan_switch(standing: ClusterState, dataplane: str, original: Object | None) -> list[Action]:
    """The actions that lead to a dataplane.

    `dataplane`: as-is is the one from before the run. `original`: the snapshot from before the run, if there is one.

    Raises:
        Unsupported: this cluster can't be switched to it, or a value from before could not be put back.
    """
    if original is not None:
        standing = standing.as_taken(snapshot_objects(original))
    facts, current = standing.facts, standing.current
    before = original_fields(standing, original) if original else current
    if dataplane == AS_IS:
        return order(current, desired_state.restored(before, current), facts, outdated=standing.kube_proxy_outdated)
    if reason := cannot_switch(facts):
        raise Unsupported(reason)
    if found := incompatibilities.reason_against(facts, dataplane):
        raise Unsupported(formatting.sentences(found.reason, found.remedy))
    if unknown := fields.unknown_value(before):
        raise Unsupported(formatting.sentences(*unknown))
    api_server = next(iter(standing.inventory.api_servers), None)
    wanted = desired_state.target(dataplane, facts, current, before, api_server)
    return order(current, wanted, facts, outdated=standing.kube_proxy_outdated)


def configure(around: Surroundings, dataplane: str, before: Preparation, visit: Visit | None = None) -> list[Change]:
    """Switch to a dataplane, after a dry run of every write, and with the lock and its snapshot written first.

    A dataplane that an earlier visit of the run found unavailable is refused.

    `before`: called between taking the lock and the first change, with the state and the measured nodes. `visit`: of
    the run, to be noted in the lock; None: not part of a visit.

    Raises:
        Unsupported: another owner holds the lock, the cluster can't be switched to the dataplane, or a write would
            fail. Nothing was changed.
        Problem: an action failed; a second call continues there.
    """
    client, owner = around.client, around.owner
    standing = read_state(client, to_switch=True)
    held = lock.find_lock(client)
    taken = held.snapshot if held else take_snapshot(client, standing, around.asked_nodes)
    todo = plan_switch(standing, dataplane, taken)
    if held is not None and held.owner != owner:
        raise Unsupported(lock.held_by_another(client, held))
    if held is not None and (reason := held.unfit.get(dataplane)):
        raise Unsupported(f"{dataplane} was found unavailable earlier in this run: {reason}")
    if not todo and owner.workflow is None:
        return []  # there will be nothing to restore
    lock_it = [] if held is not None else [Create(lock.LOCK, lock.lock(owner, taken, client.now()))]
    dry_run_writes(client, standing.facts, standing.inventory.kube_proxy_pods, [*lock_it, *todo])
    # a run takes the lock even without a change, so that no other run switches the cluster meanwhile
    held = held or lock.take_lock(client, owner, taken, client.now())
    notes.add_note(client, held, ebpf=BY_NAME[dataplane].bpf and not held.ebpf, visit=visit)
    before(standing, tuple(taken["nodes"]))
    return ActionExecutor(around, standing.facts, held).carry_out(todo)


def switch_commands(client: Client, dataplane: str) -> list[str]:
    """The kubectl commands equivalent to a switch. Changes nothing."""
    standing = read_state(client, to_switch=True)
    held = lock.find_lock(client)
    todo = plan_switch(standing, dataplane, held.snapshot if held else None)
    return [kubectl_command(action, standing.facts) for action in todo]


def cannot_switch(facts: Facts) -> str | None:
    """Why the dataplane of this cluster can't be switched at all; None if it can."""
    if facts.vpp:
        return "Calico runs VPP here, and a cluster can't be switched to or from VPP: measure it with dataplane as-is."
    if facts.install is None:
        others = f"; {', '.join(facts.other_cnis)} does" if facts.other_cnis else ""
        return f"Calico does not forward packets here{others}: measure it with dataplane as-is."
    return None
