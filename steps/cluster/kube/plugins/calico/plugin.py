"""Calico as the network plugin of a cluster."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from steps.catalogue.options import Settings
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.fields import Field
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import CALICO_GROUPS, CALICO_SYSTEM, KUBE_SYSTEM
from steps.cluster.kube.cni import Surroundings, ToProve
from steps.cluster.kube.plugins.calico import preflight, restore
from steps.cluster.kube.plugins.calico.dataplanes import names
from steps.cluster.kube.plugins.calico.felix.agent import FELIX
from steps.cluster.kube.plugins.calico.inventory import provenance
from steps.cluster.kube.plugins.calico.inventory.objects import CALICO_NODE
from steps.cluster.kube.plugins.calico.proof import observe, switch_cost
from steps.cluster.kube.plugins.calico.switching import switch
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState, read_state
from steps.cluster.kube.plugins.calico.switching.fields import written_fields
from steps.cluster.kube.plugins.calico.switching.snapshot import take_snapshot
from steps.cluster.kube.probe.agent import Agent
from steps.cluster.kube.workloads import manifests, probe_placement, probe_pods
from steps.domain import Change, Finding, Moment, Sign, SwitchCost, Visit


class Calico:
    """A cluster with Calico, or with a network plugin that has no folder here."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._client = surroundings.client

    @staticmethod
    def runs(client: Client) -> bool:
        """Whether the cluster has Calico's configuration."""
        return any(group in client.groups() for group in CALICO_GROUPS)

    @staticmethod
    def written_fields() -> tuple[Field, ...]:
        """The fields that a switch of any cluster sets in objects that exist."""
        return written_fields()

    @staticmethod
    def agents() -> Mapping[str, str]:
        """calico-node's namespaces by manifest and by operator; its DaemonSet may have another name, as with Canal."""
        return {KUBE_SYSTEM: CALICO_NODE, CALICO_SYSTEM: CALICO_NODE}

    @staticmethod
    def agent() -> Agent:
        """Felix."""
        return FELIX

    def stand(self, *, to_switch: bool) -> ClusterState:
        """Read the state of the cluster. `to_switch`: with what only the switching account may read."""
        return read_state(self._client, to_switch=to_switch)

    def findings(self, standing: ClusterState, settings: Settings, accepted: frozenset[str]) -> list[Finding]:
        """The reasons against the run or one of its dataplanes."""
        return preflight.findings(standing, settings, self._around.asked_nodes, accepted)

    def rehearsed(self, standing: ClusterState, asked: Iterable[str], original: Object | None) -> list[Finding]:
        """The reasons why switching to a requested dataplane would fail, by a dry run of every write."""
        return preflight.rehearsed(self._client, standing, asked, original)

    def provenance(self, standing: ClusterState, measured: tuple[str, ...]) -> dict[str, object]:
        """The facts a reader needs to judge the results; None is unknown."""
        return provenance.provenance(standing.facts, standing.inventory, measured)

    def snapshot(self, standing: ClusterState) -> Object:
        """The objects that a switch may change, or their absence."""
        return take_snapshot(self._client, standing, self._around.asked_nodes)

    def configure(self, dataplane: str, before: switch.Preparation, visit: Visit | None = None) -> list[Change]:
        """Switch to a dataplane, or with as-is to the one from before the run. `visit`: to be noted in the lock."""
        return switch.configure(self._around, dataplane, before, visit)

    def unfit_with(self, dataplane: str) -> frozenset[str]:
        """All eBPF dataplanes if it is one: a node that can't run eBPF can't return replies directly either."""
        bpf = frozenset(names(lambda each: each.entry.bpf))
        return bpf if dataplane in bpf else frozenset({dataplane})

    def watch(self, standing: ClusterState, measured: Sequence[str]) -> None:
        """Open connections that the switch may break."""
        places = probe_pods.sites(standing.nodes, measured)
        probe_pods.start(self._client, places, manifests.image(self._around.variables), FELIX)

    def place_probes(self, standing: ClusterState, nodes: Sequence[str], needed: Sequence[str]) -> Mapping[str, str]:
        """Start probe pods on these nodes, wherever they can run; why none can on each other, by the node's name."""
        known = {node.name for node in standing.nodes if node.address is not None}
        # a needed one is kept, for the error that names it
        unknown = {name: "it has no internal address" for name in nodes if name not in known and name not in needed}
        places = probe_pods.sites(standing.nodes, [name for name in nodes if name not in unknown])
        image = manifests.image(self._around.variables)
        return unknown | probe_placement.place(self._client, places, image, FELIX, needed)

    def await_switch(self, standing: ClusterState, measured: Sequence[str], visit: Visit) -> None:
        """Wait until Felix on each measured node runs what the visit's switch made."""
        observe.await_switch(self._around, standing, measured, visit)

    def observe(
        self,
        standing: ClusterState,
        measured: Sequence[str],
        visit: Visit,
        moment: Moment,
        *,
        whole: bool = False,
        unprobed: Sequence[str] = (),
    ) -> list[Sign]:
        """The signs of one observation."""
        return observe.observe(self._around, standing, measured, visit, moment, whole=whole, unprobed=unprobed)

    def cost(self, standing: ClusterState, measured: Sequence[str], *, final: bool) -> SwitchCost | None:
        """What the last switch cost open connections; None: there were none, or one of them may yet recover."""
        return switch_cost.connection_cost(self._around, standing, measured, final=final)

    def commands(self, dataplane: str | None) -> list[str]:
        """The kubectl commands equivalent to switching, or to restoring if None."""
        if dataplane is None:
            return restore.restore_commands(self._client)
        return switch.switch_commands(self._client, dataplane)

    def left(self) -> list[str]:
        """What a restore would not put back, as sentences."""
        found = restore.plan_restore(self._client)
        return [] if found is None else found.left

    def restore(self, prove: Callable[[], None]) -> list[Change]:
        """Put everything back, and release the lock unless `prove` raises."""
        return restore.restore(self._around, prove)

    def to_prove(self, standing: ClusterState) -> ToProve | None:
        """The running dataplane, and all ready nodes with Calico, since all were switched."""
        facts = standing.facts
        if facts.dataplane is None:
            return None
        switched = tuple(node.name for node in facts.linux_nodes if node.ready)
        unprovable = "with kube-proxy in IPVS mode nothing proves it" if facts.ipvs else None
        return ToProve(facts.dataplane, switched, unprovable)
