"""A Kubernetes cluster as the cluster under test: what is the same whatever network plugin connects its nodes."""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from analysis.console.notices import print_notice
from analysis.errors import Problem
from steps.catalogue.dataplanes import AS_IS, Arm
from steps.catalogue.options import Settings
from steps.cluster.kube import access, cnis, lock, trial_servers
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.connect import connect
from steps.cluster.kube.api.permissions import BENCHMARK, KUBE_SYSTEM, PERMISSIONS, STATE, is_needed, relevant
from steps.cluster.kube.cni import Cni, Standing, Surroundings
from steps.cluster.kube.workloads import filler_services
from steps.cluster.kube.workloads.manifests import TRIALS
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Change, Finding, Moment, Placement, Sign, SwitchCost, Visit
from steps.proof import wait
from steps.proof.wait import ProvenEvidence
from steps.settings import environment as names

Object = dict[str, Any]


class KubernetesCluster:
    """The cluster that a kubeconfig's context, or the pod that this runs in, leads to. Keeps nothing in memory.

    `at_prompt`: a person waits for each answer.
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
        self._say = say
        self._sleep = sleep
        self._owner = lock.current_owner(self._client.namespace, variables)

    @cached_property
    def _cni(self) -> Cni[Any]:
        around = Surroundings(self._client, self._owner, self._asked_nodes, self._variables, self._say, self._sleep)
        return cnis.choose(around)

    @property
    def _standing(self) -> Standing:
        """How the cluster stands now, by what every account may read."""
        standing: Standing = self._cni.stand(to_switch=False)
        return standing

    @property
    def measured_nodes(self) -> tuple[str, ...]:
        """The client's node and the server's: those that the run's snapshot names, else chosen anew."""
        held = lock.find_lock(self._client)
        if held is not None:
            return tuple(held.snapshot["nodes"])
        return nodes.choose_nodes(self._standing.nodes, self._asked_nodes)

    def preflight(self, settings: Settings) -> list[Finding]:
        """All reasons at once why the run, a dataplane or a topology can't be had here. Changes nothing that stays."""
        needed = [entry for entry in relevant(PERMISSIONS, self._client.groups()) if is_needed(entry)]
        denied = [entry for entry in needed if "switch" in entry.roles and not self._client.allows(entry)]
        found = access.missing_permissions(denied, self._client.namespace)
        if any(entry.verb in {"get", "list"} for entry in denied):
            return found  # what may not be read can't be judged
        held = lock.find_lock(self._client)
        others = held is not None and held.owner != self._owner
        if held is not None and others:
            alive = lock.holder_is_alive(self._client, held.owner)
            found.append(access.lock_finding(self._client.where, held, alive=alive))
        standing = self._cni.stand(to_switch=True)
        accepted = frozenset(self._variables.get(names.ACCEPT, "").replace(" ", "").split(","))
        found += self._cni.findings(standing, settings, accepted)
        left_out = {finding.subject for finding in found if finding.severity == "skip"}
        if not others and not denied:
            asked = [arm for arm in settings.dataplanes if Arm.parse(arm).name not in left_out]
            original = held.snapshot if held is not None else None
            found += self._cni.rehearsed(standing, asked, original)
        # pods of ours would disturb a run that measures there
        if not others and not any(entry.namespace == BENCHMARK for entry in denied):
            try:
                chosen = nodes.choose_nodes(standing.nodes, self._asked_nodes)
            except Problem:
                return found  # which is among the findings
            found += trial_servers.findings(self._client, standing, chosen, settings, variables=self._variables)
        return found

    def provenance(self, settings: Settings) -> dict[str, object]:  # noqa: ARG002 - the port's, for the lab
        """Facts a reader needs to judge the figures, JSON-serialisable. A fact that can't be had is None."""
        return self._cni.provenance(self._standing, self.measured_nodes)

    def snapshot(self) -> dict[str, object]:
        """Every object that configure may touch, or its absence; the run's own, once configure has written it."""
        held = lock.find_lock(self._client)
        if held is not None and held.owner == self._owner:
            return held.snapshot
        return self._cni.snapshot(self._standing)

    def configure(self, visit: Visit, settings: Settings) -> list[Change]:
        """Switch to the visit's dataplane. A second call changes nothing; one after a crash finishes the first."""

        def before(standing: Standing, measured: tuple[str, ...], switches: bool) -> None:  # noqa: FBT001 - a callback
            self._pad(standing, measured, settings)
            if switches:
                self._watch_the_switch(standing, measured)

        return self._cni.configure(Arm.parse(visit.dataplane).name, before, visit)

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        """Back to what ran before the run; with a reason no later visit tries the dataplane again."""
        held = lock.find_lock(self._client)
        if held is None or held.owner != self._owner:
            return []
        if reason is not None:
            unfit = self._cni.unfit_with(Arm.parse(visit.dataplane).name)
            lock.add_note(self._client, held, unfit=dict.fromkeys(sorted(unfit), reason))
        return self._cni.configure(AS_IS, _nothing)

    def observe(self, visit: Visit, moment: Moment) -> list[Sign]:
        """Look at each measured node now, sending what traffic the signs need.

        Raises:
            Problem: a step of a run looks for a switch that has been put back since, as after Argo's Stop and Retry.
        """
        standing = self._standing
        if moment == "before":
            self._refuse_what_was_put_back(standing, Arm.parse(visit.dataplane).name)
        return self._cni.observe(standing, self.measured_nodes, visit, moment)

    def _refuse_what_was_put_back(self, standing: Standing, dataplane: str) -> None:
        """A proof that can't come is not waited for, and its absence is not taken for the dataplane's fault."""
        held = lock.find_lock(self._client)
        if self._owner.workflow is None or (held is not None and held.owner == self._owner):
            return
        if dataplane not in {AS_IS, standing.dataplane}:
            raise Problem(
                f"{self._client.where}: the switch to {dataplane} was put back when this run ended before, so "
                f"{standing.dataplane} runs now. Argo's Retry makes no switch again that had been made: submit a run "
                "that measures it."
            )

    def cost(self) -> SwitchCost | None:
        """What the last switch cost open connections; None: no connections were held across it."""
        return self._cni.cost(self._standing, self.measured_nodes)

    def prepare(self, visit: Visit, settings: Settings) -> list[Placement]:
        """Start servers and Service for the visit's topologies and for the node-to-node canary."""
        return trial_servers.prepare(
            self._client, self._standing, self.measured_nodes, visit, settings, variables=self._variables
        )

    def clear(self) -> None:
        """Take away what prepare brought. Safe to run twice."""
        trial_servers.clear(self._client)

    def unfinished(self) -> Visit | None:
        """The visit that this run's lock names, while the pods of its trials are there."""
        held = lock.find_lock(self._client)
        if held is None or held.owner != self._owner or not Workload(self._client, TRIALS).pods():
            return None
        return held.visit

    def left(self) -> list[str]:
        """What restoring now won't put back, as sentences; nothing where it is not ours to do."""
        held = lock.find_lock(self._client)
        if held is not None and held.owner != self._owner:
            return []
        return self._cni.left()

    def restore(self) -> list[Change]:
        """Put everything back; also what a run that is dead left behind."""
        return self._put_back(insist=False)

    def restore_for_person(self) -> list[Change]:
        """Put everything back because a user asks, no matter who changed it, unless a workflow is at work."""
        return self._put_back(insist=True)

    def _put_back(self, *, insist: bool) -> list[Change]:
        if not lock.may_restore(self._client, self._owner, self._say, insist=insist):
            return []
        left: list[Problem] = []

        def sweep(clear: Callable[[], None]) -> None:
            try:
                clear()
            except Problem as problem:  # the cluster's own state matters more than our pods
                left.append(problem)

        # a thousand Services take most of a minute to delete, and the cluster shall not wait for that
        with ThreadPoolExecutor(1) as aside:
            padded = aside.submit(sweep, lambda: filler_services.clear(self._client))
            sweep(lambda: trial_servers.clear(self._client, wait=True))
            changes = self._cni.restore(self._look_after)
        padded.result()
        if left:
            raise left[0]
        return changes

    def _look_after(self) -> None:
        """Wait for the proof of what runs again: objects that are as they were may hide a node without Services.

        Every node that was switched is looked at, and for as long as it takes to know: nobody looks a second time.

        Raises:
            Problem: it isn't proven in time; the objects are as they were all the same.
        """
        found = self._cni.to_prove(self._standing) if self._gate_s > 0 else None
        if found is None:
            return
        runs = found.dataplane
        if found.unprovable is not None:
            self._say(f"whether {runs} works again was not looked at: {found.unprovable}")
            return
        if not self._variables.get(names.IMAGE):
            self._say(f"whether {runs} works again was not looked at: {names.IMAGE} is not set")
            return
        try:
            self._wait(runs, found.nodes, self._gate_s)
        except Problem as problem:
            raise Problem(
                f"{self._client.where}: the API objects are as they were before the run, but {runs} is not proven to "
                f"work again: {problem} The snapshot is kept, so that `python -m workflows restore --environment "
                f"{self._client.where}` looks again; if you know better, give it up: kubectl -n {KUBE_SYSTEM} delete "
                f"configmap {STATE}."
            ) from None
        finally:
            trial_servers.clear(self._client, wait=True)

    def settle_for_person(self, dataplane: str) -> ProvenEvidence:
        """Wait for the proof on the measured nodes because a person asks, who looks no second time.

        Raises:
            UnprovenError: it isn't proven in time, or can't be.
        """
        try:
            return self._wait(dataplane, self.measured_nodes, wait.CLUSTER_TIMEOUT_S)
        finally:
            trial_servers.clear(self._client)

    def _wait(self, dataplane: str, measured: tuple[str, ...], timeout_s: float) -> ProvenEvidence:
        visit = Visit(visit=1, round=1, dataplane=dataplane, trials=())
        return wait.wait_for_proof(
            lambda: self._cni.observe(self._standing, measured, visit, "before", whole=True),
            lambda signs: wait.judge(signs, dataplane, measured),
            timeout_s,
            self._say,
        )

    def configure_for_person(self, dataplane: str) -> list[Change]:
        """Switch because a person asks; the lock is that person's, and so is restoring."""
        return self._cni.configure(Arm.parse(dataplane).name, _nothing)

    def commands(self, dataplane: str | None) -> list[str]:
        """The kubectl lines that configuring this dataplane, or restoring if None, would amount to now."""
        return self._cni.commands(dataplane)

    def _pad(self, standing: Standing, measured: tuple[str, ...], settings: Settings) -> None:
        """Have the many Services early: each switch is then made with them, and their endpoints are whole in time.

        What keeps them from being had keeps prepare from it too, which fails by it.
        """
        try:
            trial_servers.ensure_filler_services(self._client, standing, measured, settings, variables=self._variables)
        except Problem as problem:
            self._say(f"the many Services are not there yet: {problem}")

    def _watch_the_switch(self, standing: Standing, measured: tuple[str, ...]) -> None:
        """Have connections that the switch may break. Without them the switch's cost is unknown, and no more."""
        try:
            self._cni.watch(standing, measured)
        except Problem as problem:
            self._say(f"what the switch costs will not be seen: {problem}")

    @property
    def _asked_nodes(self) -> str:
        return self._variables.get(names.NODES, "")


def _nothing(_standing: Standing, _measured: tuple[str, ...], _switches: bool) -> None:  # noqa: FBT001 - a callback
    """Before a switch that no trials come after."""
