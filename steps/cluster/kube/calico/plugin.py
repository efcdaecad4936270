"""Calico as the network plugin of a cluster: each verb of the port, in terms of the modules for it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from steps.catalogue.options import Settings
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import CALICO_GROUPS
from steps.cluster.kube.calico import observe, preflight, provenance, readiness, restore, switch
from steps.cluster.kube.calico.dataplanes import names
from steps.cluster.kube.calico.switch import ClusterState
from steps.cluster.kube.cni import Surroundings, ToProve
from steps.domain import Change, Finding, Moment, Sign, SwitchCost, Visit

Object = dict[str, Any]


class Calico:
    """A cluster that Calico connects, or that another plugin does which is not known here."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._client = surroundings.client

    @staticmethod
    def runs(client: Client) -> bool:
        """Whether the cluster has Calico's configuration."""
        return any(group in client.groups() for group in CALICO_GROUPS)

    def stand(self, *, to_switch: bool) -> ClusterState:
        """Read how the cluster stands. `to_switch`: with what only the switching account may read."""
        return switch.read_state(self._client, to_switch=to_switch)

    def findings(self, standing: ClusterState, settings: Settings, accepted: frozenset[str]) -> list[Finding]:
        """What the objects say against the run or one of its dataplanes."""
        return preflight.findings(standing.facts, standing.seen, settings, self._around.asked_nodes, accepted)

    def rehearsed(self, standing: ClusterState, asked: Iterable[str], original: Object | None) -> list[Finding]:
        """Why switching to an asked dataplane would fail, by trying every write without effect."""
        return preflight.rehearsed(self._client, standing, asked, original)

    def provenance(self, standing: ClusterState, measured: tuple[str, ...]) -> dict[str, object]:
        """Facts a reader needs to judge the figures; None is unknown."""
        return provenance.provenance(standing.facts, standing.seen, measured)

    def snapshot(self, standing: ClusterState) -> Object:
        """Every object that a switch may touch, or its absence."""
        return switch.take_snapshot(self._client, standing, self._around.asked_nodes)

    def configure(
        self, dataplane: str, before: Callable[[ClusterState, tuple[str, ...], bool], None], visit: Visit | None = None
    ) -> list[Change]:
        """Switch to a dataplane, or with as-is back to what ran before the run. `visit`: which the lock will name."""
        around = self._around
        return switch.configure(
            self._client,
            around.owner,
            dataplane,
            around.asked_nodes,
            around.say,
            around.sleep,
            visit=visit,
            before=before,
        )

    def unfit_with(self, dataplane: str) -> frozenset[str]:
        """All of eBPF where it is one of them: a node that can't have eBPF can't return replies directly either."""
        bpf = frozenset(names(lambda each: each.entry.bpf))
        return bpf if dataplane in bpf else frozenset({dataplane})

    def watch(self, standing: ClusterState, measured: Sequence[str]) -> None:
        """Hold connections that the switch may break."""
        observe.start_probes(self._client, standing, measured, self._around.variables)

    def observe(
        self,
        standing: ClusterState,
        measured: Sequence[str],
        visit: Visit,
        moment: Moment,
        *,
        whole: bool = False,
    ) -> list[Sign]:
        """The signs of one look. `whole`: what must pass without a restart has to pass now."""
        return observe.observe(
            self._client,
            standing,
            measured,
            visit,
            moment,
            stable_s=readiness.STABLE_S if whole else None,
            variables=self._around.variables,
            say=self._around.say,
            sleep=self._around.sleep,
        )

    def cost(self, standing: ClusterState, measured: Sequence[str]) -> SwitchCost | None:
        """What the last switch cost open connections; None: no connections were held across it."""
        return observe.connection_cost(self._client, standing, measured)

    def commands(self, dataplane: str | None) -> list[str]:
        """The kubectl lines that switching, or restoring if None, would amount to now."""
        return (
            restore.restore_commands(self._client)
            if dataplane is None
            else switch.switch_commands(self._client, dataplane)
        )

    def left(self) -> list[str]:
        """What restoring now won't put back, as sentences."""
        found = restore.plan_restore(self._client)
        return [] if found is None else list(found.left)

    def restore(self, prove: Callable[[], None]) -> list[Change]:
        """Put everything back, and the lock away once `prove` has not raised."""
        return restore.restore(self._client, self._around.say, self._around.sleep, prove)

    def to_prove(self, standing: ClusterState) -> ToProve | None:
        """What runs, and every ready node of Calico's, since every one was switched."""
        facts = standing.facts
        if facts.dataplane is None:
            return None
        switched = tuple(node.name for node in facts.linux_nodes if node.ready)
        unprovable = "beside kube-proxy in IPVS mode nothing proves it" if facts.ipvs else None
        return ToProve(facts.dataplane, switched, unprovable)
