"""A Kubernetes cluster as the cluster under test: the part that does not depend on its network plugin."""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property

from analysis.console.notices import print_notice
from analysis.errors import Problem
from steps.catalogue.dataplanes import AS_IS, Arm
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.cluster.kube import cnis, preflight
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.connect import connect
from steps.cluster.kube.cni import Cni, CniState, Surroundings
from steps.cluster.kube.ownership import lock, notes, takeover, workflow_record
from steps.cluster.kube.ownership.owner import current_owner
from steps.cluster.kube.restoration import LeftBehind, Restoration
from steps.cluster.kube.scale import cluster_scale
from steps.cluster.kube.servers import other_visits, trial_servers
from steps.cluster.kube.workloads import manifests, probe_pods
from steps.cluster.kube.workloads.manifests import TRIALS
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Change, Finding, Moment, Placement, ScaleSign, Sign, SwitchCost, Trial, Visit
from steps.proof import wait
from steps.proof.wait import ProvenEvidence
from steps.settings import environment as names
from steps.settings import turn_order


class KubernetesCluster:
    """The cluster of a kubeconfig's context, or of the pod that this runs in. Keeps no state in memory.

    Args:
        environment: the cluster's name.
        client: of the cluster; None: connect.
        variables: of the environment.
        say: called with a sentence for what is done, or waited for.
        sleep: waits for a number of seconds.
        gate_s: how long restoring waits for the proof; 0: not at all.
        at_prompt: whether a user waits for each answer.
    """

    def __init__(
        self,
        environment: str,
        *,
        client: Client | None = None,
        variables: Mapping[str, str] = os.environ,
        say: Callable[[str], None] = print_notice,
        sleep: Callable[[float], None] = time.sleep,
        gate_s: float = wait.CLUSTER_TIMEOUT_S,
        at_prompt: bool = False,
    ) -> None:
        self._gate_s = gate_s
        self._client = client or connect(environment, variables, at_prompt=at_prompt)
        self._variables = variables
        self._say: Callable[[str], None] = lambda text: say(names.with_context(text, self._client.context))
        self._sleep = sleep
        self._owner = current_owner(self._client.namespace, variables)
        asked_nodes = variables.get(names.NODES, "")
        self._around = Surroundings(self._client, self._owner, asked_nodes, variables, self._say, sleep)

    @cached_property
    def _cni(self) -> Cni[CniState]:
        return cnis.choose(self._around)

    @property
    def _restoration(self) -> Restoration:
        return Restoration(self._around, lambda: self._cni, self._gate_s)

    @property
    def _standing(self) -> CniState:
        """The state of the cluster now, from what every account may read."""
        return self._cni.stand(to_switch=False)

    @property
    def measured_nodes(self) -> tuple[str, ...]:
        """The client's node and the server's: those of the lock's snapshot, else a new choice."""
        held = lock.find_lock(self._client)
        if held is not None:
            return tuple(held.snapshot["nodes"])
        return nodes.choose_nodes(self._standing.nodes, self._around.asked_nodes)

    def now(self) -> datetime:
        """The API server's clock; this node's own where that tells no time, so that nothing is left switched by it."""
        try:
            return self._client.now()
        except Problem:
            return datetime.now(UTC)

    def preflight(self, settings: Settings) -> list[Finding]:
        """All reasons why the run, a dataplane or a topology is unavailable here. Leaves no changes."""
        found = preflight.findings(self._around, lambda: self._cni, settings)
        return [preflight.with_context(finding, self._client.context) for finding in found]

    def provenance(self, settings: Settings) -> dict[str, object]:  # noqa: ARG002 - of the port, for the lab
        """Facts for judging the figures, JSON-serialisable; None is unknown."""
        return self._cni.provenance(self._standing, self.measured_nodes)

    def snapshot(self) -> dict[str, object]:
        """Take the lock, with every object that configure may touch, or its absence; return that snapshot.

        Raises:
            Unsupported: somebody else holds the cluster, or the preflight of this run has not succeeded.
        """
        if (held := lock.find_own_lock(self._client, self._owner)) is not None:
            return held.snapshot
        workflow_record.require_preflight(self._client, self._owner, self._sleep)
        taken = self._cni.snapshot(self._cni.stand(to_switch=True))
        return lock.take_lock(self._client, self._owner, taken, self._client.now()).snapshot

    def await_turn(self, visit: Visit, settings: Settings) -> None:
        """Wait while another visit of this run is measured, as after Argo's Retry."""
        other_visits.await_end(self._client, visit, settings, self._variables, self._say, self._sleep)

    def configure(self, visit: Visit, settings: Settings) -> list[Change]:
        """Switch to the visit's dataplane. A second call changes nothing; one after a crash finishes the first.

        Raises:
            Unsupported: this run does not hold the cluster, or the dataplane is unavailable.
        """
        takeover.await_restorer(self._client, self._owner, self._say, self._sleep)
        takeover.refuse_restored(self._client, lock.require_lock(self._client, self._owner), self._owner)
        dataplane = Arm.parse(visit.dataplane).name

        def before(standing: CniState, measured: tuple[str, ...]) -> None:
            self._report_unfit(standing, measured)
            # before the switch, which every agent goes through with the Services that the first trials have
            first = visit.trials[0].scale if visit.trials else settings.scales[0]
            sites = probe_pods.sites(standing.nodes, measured)
            with ThreadPoolExecutor(1) as pool:
                made = pool.submit(cluster_scale.prepare, self._client, sites, first)
                if dataplane != AS_IS:
                    try:
                        self._cni.watch(standing, measured)
                    except Problem as problem:  # the switch can do without
                        self._say(f"what the switch costs will be unknown: {problem}")
                made.result()

        return self._cni.configure(dataplane, before, visit)

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        """Return to what ran before the run, unless another visit has switched since.

        Raises:
            Unsupported: another puts the cluster back.
        """
        held = lock.find_own_lock(self._client, self._owner)
        takeover.refuse_restored(self._client, held, self._owner)
        if held is None or held.switched_since(visit) is not None:
            return []
        if reason is not None:
            unfit = self._cni.unfit_with(Arm.parse(visit.dataplane).name)
            notes.add_note(self._client, held, unfit=dict.fromkeys(sorted(unfit), reason))
        return self._cni.configure(AS_IS, lambda *_: None)

    def observe(self, visit: Visit, moment: Moment) -> list[Sign]:
        """Observe each measured node now, with the traffic that the signs need."""
        standing = self._standing
        takeover.refuse_reversed(self._client, self._owner, visit, standing.dataplane)
        return self._cni.observe(standing, self.measured_nodes, visit, moment)

    def set_scale(self, visit: Visit, settings: Settings, scale: Scale) -> list[Change]:  # noqa: ARG002 - of the port
        """Change the cluster's Services, endpoints and policies from whatever they are to this scale."""
        self._refuse_others()
        return cluster_scale.set_scale(self._client, self._sites, scale)

    def count_scale(self, visit: Visit, settings: Settings, scale: Scale) -> list[ScaleSign]:  # noqa: ARG002 - of the port
        """What each measured node has of the scale: what its agents count, and where it changes, a connection there."""
        image, changes = manifests.image(self._variables), turn_order.has_scale_step(visit)
        return cluster_scale.count(self._client, self._sites, scale, image, self._cni.agent(), by_connection=changes)

    def time_changes(self, visit: Visit, settings: Settings, trial: Trial) -> str:  # noqa: ARG002 - of the port
        """How late the measured nodes follow changes of the trial's kind: `Times` as JSON."""
        self._refuse_others()
        image = manifests.image(self._variables)
        return cluster_scale.time_changes(self._client, self._sites, trial, image, self._cni.agent())

    def place_of_changes(self, trial: Trial) -> Placement:
        """The first measured node, without monitors.

        Their addresses and tokens are in the bucket, which no step with rights on the cluster reads.
        """
        site = self._sites[0]
        return Placement(
            topology=trial.topology,
            client_node=site.node,
            host_network=False,
            address=site.address,
            ports={},
            monitors=(),
        )

    @property
    def _sites(self) -> list[probe_pods.Site]:
        return probe_pods.sites(self._standing.nodes, self.measured_nodes)

    def _refuse_others(self) -> None:
        takeover.refuse_restored(self._client, lock.refuse_others(self._client, self._owner), self._owner)

    def cost(self, *, final: bool) -> SwitchCost | None:
        """The effect of the last switch on open connections; None: there were none, or one may yet recover."""
        return self._cni.cost(self._standing, self.measured_nodes, final=final)

    def rest(self) -> None:
        """Let everything that observes rest until the next observation, so that it disturbs no trial."""
        probe_pods.rest(self._client)

    def await_switch(self, visit: Visit) -> None:
        """Wait until the measured nodes run what the switch made, as far as new pods need it."""
        self._cni.await_switch(self._standing_of(visit), self.measured_nodes, visit)

    def prepare(
        self, visit: Visit, settings: Settings, meanwhile: Callable[[], None] = lambda: None
    ) -> list[Placement]:
        """Create servers and Service for the visit's topologies and for the node-to-node canary."""
        standing, measured = self._standing_of(visit), self.measured_nodes
        return trial_servers.prepare(
            self._client, standing, measured, visit, settings, variables=self._variables, meanwhile=meanwhile
        )

    def _standing_of(self, visit: Visit) -> CniState:
        """The state of the cluster now, which this run has switched for this visit.

        `prepare` reads it again after `await_switch`, which may wait for more than a minute: meanwhile nodes come and
        go, and another may have put the cluster back.

        Raises:
            Problem: the visit's switch was reversed, or another run holds the cluster, or puts it back.
        """
        self._refuse_others()
        standing = self._standing
        takeover.refuse_reversed(self._client, self._owner, visit, standing.dataplane)
        return standing

    def turns(self, visit: Visit) -> str | None:
        """The server of the visit's turns; None: there is none, or not yet."""
        return trial_servers.turns(self._client, visit)

    def await_servers(self, visit: Visit) -> None:
        """Wait until the servers and monitors of the visit are ready."""
        trial_servers.await_ready(self._client, visit)

    def clear(self, visit: Visit) -> None:
        """Delete what the trials needed, but not what another visit needs by now. Safe to run twice."""
        held = lock.refuse_others(self._client, self._owner)
        if held is not None and held.switched_since(visit) is not None:
            return
        if not trial_servers.serve_another(self._client, visit):
            trial_servers.clear(self._client)

    def unfinished(self) -> Visit | None:
        """The visit in this run's lock, while the pods of its trials exist."""
        held = lock.find_own_lock(self._client, self._owner)
        return held.visit if held is not None and Workload(self._client, TRIALS).pods() else None

    def left(self) -> list[str]:
        """What restoring now would not put back, as sentences; nothing if another holds the cluster."""
        held = lock.find_lock(self._client)
        return self._cni.left() if held is None or held.owner == self._owner else []

    def restore(self) -> list[Change]:
        """Put everything back, including what a dead run left behind; wait while another does."""
        takeover.await_restorer(self._client, self._owner, self._say, self._sleep)
        return self._restoration.put_back(insist=False)

    def restore_for_user(self) -> list[Change]:
        """Put everything back for a user, also what others changed, unless a workflow is running."""
        return self._restoration.put_back(insist=True)

    def restore_left(self) -> LeftBehind | None:
        """Put back what a dead run left, for the guard; None: there is nothing, or another does."""
        return self._restoration.put_back_left()

    def settle_for_user(self, dataplane: str) -> ProvenEvidence:
        """Wait for the proof on the measured nodes, for a user."""
        try:
            return self._restoration.prove(dataplane, self.measured_nodes, wait.CLUSTER_TIMEOUT_S)
        finally:
            trial_servers.clear_all(self._client)

    def configure_for_user(self, dataplane: str) -> list[Change]:
        """Switch for a user, who gets the lock and has to restore."""
        return self._cni.configure(Arm.parse(dataplane).name, self._report_unfit)

    def _report_unfit(self, standing: CniState, measured: tuple[str, ...]) -> None:
        for sentence in nodes.unfit_nodes(standing.nodes, measured):
            self._say(sentence)

    def commands(self, dataplane: str | None) -> list[str]:
        """The kubectl lines for switching to this dataplane now, or for restoring if None."""
        return self._cni.commands(dataplane)
