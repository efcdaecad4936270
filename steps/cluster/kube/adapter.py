"""A Kubernetes cluster whose nodes Calico connects, as the cluster under test."""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from analysis.aside import say_aside
from analysis.errors import Problem
from steps import settle
from steps import variables as names
from steps.catalogue.dataplanes import Arm
from steps.cluster.kube import configure, gate, nodes, observe, padding, preflight, prepare, provenance, restore, state
from steps.cluster.kube.client import Client
from steps.cluster.kube.configure import Standing
from steps.cluster.kube.connect import connect
from steps.cluster.kube.crew import Crew
from steps.cluster.kube.observe import AS_IS, TRIALS
from steps.cluster.kube.permissions import BENCHMARK, KUBE_SYSTEM, PERMISSIONS, STATE, is_needed, relevant
from steps.model import Change, Finding, Moment, Placement, Sign, SwitchCost, Visit
from steps.settings import Settings
from steps.settle import Settlement

Object = dict[str, Any]


class Kube:
    """The cluster that a kubeconfig's context, or the pod that this runs in, leads to. Keeps nothing in memory.

    `at_prompt`: a person waits for each answer.
    """

    def __init__(
        self,
        environment: str,
        *,
        client: Client | None = None,
        variables: Mapping[str, str] = os.environ,
        say: Callable[[str], None] = say_aside,
        sleep: Callable[[float], None] = time.sleep,
        gate_s: float = settle.CLUSTER_TIMEOUT_S,
        at_prompt: bool = False,
    ) -> None:
        self._gate_s = gate_s
        self._client = client or connect(environment, variables, at_prompt=at_prompt)
        self._variables = variables
        self._say = say
        self._sleep = sleep
        self._owner = state.whoami(self._client.namespace, variables)

    @property
    def measured_nodes(self) -> tuple[str, ...]:
        """The client's node and the server's: those that the run's snapshot names, else chosen anew."""
        held = state.find(self._client)
        if held is not None:
            return tuple(held.snapshot["nodes"])
        return nodes.choose(configure.stand(self._client, to_switch=False).facts.nodes, self._asked_nodes)

    def preflight(self, settings: Settings) -> list[Finding]:
        """All reasons at once why the run, a dataplane or a topology can't be had here. Changes nothing that stays."""
        needed = [entry for entry in relevant(PERMISSIONS, self._client.groups()) if is_needed(entry)]
        denied = [entry for entry in needed if "switch" in entry.roles and not self._client.allows(entry)]
        found = preflight.missing(denied, self._client.namespace)
        if any(entry.verb in {"get", "list"} for entry in denied):
            return found  # what may not be read can't be judged
        held = state.find(self._client)
        others = held is not None and held.owner != self._owner
        if held is not None and others:
            alive = state.lives(self._client, held.owner)
            found.append(preflight.held(self._client.where, held, alive=alive))
        standing = configure.stand(self._client, to_switch=True)
        accepted = frozenset(self._variables.get(names.ACCEPT, "").replace(" ", "").split(","))
        found += preflight.findings(standing.facts, standing.seen, settings, self._asked_nodes, accepted)
        left_out = {finding.subject for finding in found if finding.severity == "skip"}
        if not others and not denied:
            asked = [arm for arm in settings.dataplanes if Arm.parse(arm).name not in left_out]
            original = held.snapshot if held is not None else None
            found += preflight.rehearsed(self._client, standing, asked, original)
        # pods of ours would disturb whoever measures there
        if not others and not any(entry.namespace == BENCHMARK for entry in denied):
            try:
                chosen = nodes.choose(standing.facts.nodes, self._asked_nodes)
            except Problem:
                return found  # which is among the findings
            found += prepare.findings(self._client, standing, chosen, settings, variables=self._variables)
        return found

    def provenance(self, settings: Settings) -> dict[str, object]:  # noqa: ARG002 - the port's, for the lab
        """Facts a reader needs to judge the figures, JSON-serialisable. A fact that can't be had is None."""
        standing = configure.stand(self._client, to_switch=False)
        return provenance.provenance(standing.facts, standing.seen, self.measured_nodes)

    def snapshot(self) -> dict[str, object]:
        """Every object that configure may touch, or its absence; the run's own, once configure has written it."""
        held = state.find(self._client)
        if held is not None and held.owner == self._owner:
            return held.snapshot
        return configure.snapshot(self._client, configure.stand(self._client, to_switch=False), self._asked_nodes)

    def configure(self, visit: Visit, settings: Settings) -> list[Change]:
        """Switch to the visit's dataplane. A second call changes nothing; one after a crash finishes the first."""

        def before(standing: Standing, measured: tuple[str, ...], switches: bool) -> None:  # noqa: FBT001 - a callback
            self._pad(standing, measured, settings)
            if switches:
                self._watch_the_switch(standing, measured)

        return configure.configure(
            self._client,
            self._owner,
            Arm.parse(visit.dataplane).name,
            self._asked_nodes,
            self._say,
            self._sleep,
            visit=visit,
            before=before,
        )

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        """Back to what ran before the run; with a reason no later visit tries the dataplane again."""
        held = state.find(self._client)
        if held is None or held.owner != self._owner:
            return []
        name = Arm.parse(visit.dataplane).name
        if reason is not None:
            # a node that can't have eBPF can't return replies directly either
            names = configure.EBPFS if name in configure.EBPFS else {name}
            state.note(self._client, held, unfit=dict.fromkeys(names, reason))
        return configure.configure(self._client, self._owner, AS_IS, self._asked_nodes, self._say, self._sleep)

    def observe(self, visit: Visit, moment: Moment) -> list[Sign]:
        """Look at each measured node now, sending what traffic the signs need.

        Raises:
            Problem: a step of a run looks for a switch that has been put back since, as after Argo's Stop and Retry.
        """
        if moment == "before":
            self._refuse_what_was_put_back(Arm.parse(visit.dataplane).name)
        return self._observe(visit, moment, self.measured_nodes, None)

    def _refuse_what_was_put_back(self, dataplane: str) -> None:
        """A proof that can't come is not waited for, and its absence is not taken for the dataplane's fault."""
        held = state.find(self._client)
        if self._owner.workflow is None or (held is not None and held.owner == self._owner):
            return
        runs = configure.stand(self._client, to_switch=False).facts.dataplane
        if dataplane not in {AS_IS, runs}:
            raise Problem(
                f"{self._client.where}: the switch to {dataplane} was put back when this run ended before, so {runs} "
                "runs now. Argo's Retry makes no switch again that had been made: submit a run that measures it."
            )

    def _observe(self, visit: Visit, moment: Moment, measured: tuple[str, ...], stable_s: float | None) -> list[Sign]:
        return observe.observe(
            self._client,
            configure.stand(self._client, to_switch=False),
            measured,
            visit,
            moment,
            stable_s=stable_s,
            variables=self._variables,
            say=self._say,
            sleep=self._sleep,
        )

    def cost(self) -> SwitchCost | None:
        """What the last switch cost whoever was connected; None: nobody was."""
        return observe.cost(self._client, configure.stand(self._client, to_switch=False), self.measured_nodes)

    def prepare(self, visit: Visit, settings: Settings) -> list[Placement]:
        """Start servers and Service for the visit's topologies and for the node-to-node canary."""
        standing = configure.stand(self._client, to_switch=False)
        return prepare.prepare(self._client, standing, self.measured_nodes, visit, settings, variables=self._variables)

    def clear(self) -> None:
        """Take away what prepare brought. Safe to run twice."""
        prepare.clear(self._client)

    def unfinished(self) -> Visit | None:
        """The visit that this run's lock names, while the pods of its trials are there."""
        held = state.find(self._client)
        if held is None or held.owner != self._owner or not Crew(self._client, TRIALS).pods():
            return None
        return held.visit

    def left(self) -> list[str]:
        """What restoring now won't put back, as sentences; nothing where it is not ours to do."""
        held = state.find(self._client)
        if held is not None and held.owner != self._owner:
            return []
        found = restore.plan(self._client)
        return [] if found is None else list(found.left)

    def restore(self) -> list[Change]:
        """Put everything back; also what a run that is dead left behind."""
        return self._put_back(insist=False)

    def restore_for_person(self) -> list[Change]:
        """Put everything back because a person asks, whoever left it, unless a workflow is at work."""
        return self._put_back(insist=True)

    def _put_back(self, *, insist: bool) -> list[Change]:
        if not restore.is_ours(self._client, self._owner, self._say, insist=insist):
            return []
        left: list[Problem] = []

        def sweep(clear: Callable[[], None]) -> None:
            try:
                clear()
            except Problem as problem:  # the cluster's own state matters more than our pods
                left.append(problem)

        # a thousand Services take most of a minute to delete, and the cluster shall not wait for that
        with ThreadPoolExecutor(1) as aside:
            padded = aside.submit(sweep, lambda: padding.clear(self._client))
            sweep(lambda: prepare.clear(self._client, wait=True))
            changes = restore.restore(self._client, self._say, self._sleep, self._look_after)
        padded.result()
        if left:
            raise left[0]
        return changes

    def _look_after(self) -> None:
        """Wait for the proof of what runs again: objects that are as they were may hide a node without Services.

        Every node of Calico's is looked at, since every one was switched; and for as long as it takes to know, since
        nobody looks a second time.

        Raises:
            Problem: it isn't proven in time; the objects are as they were all the same.
        """
        facts = configure.stand(self._client, to_switch=False).facts
        runs = facts.dataplane
        if runs is None or self._gate_s <= 0:
            return
        if facts.ipvs:
            self._say(f"whether {runs} works again was not looked at: beside kube-proxy in IPVS mode nothing proves it")
            return
        if not self._variables.get(names.IMAGE):
            self._say(f"whether {runs} works again was not looked at: {names.IMAGE} is not set")
            return
        try:
            self._wait(runs, tuple(node.name for node in facts.linux_nodes if node.ready), self._gate_s)
        except Problem as problem:
            raise Problem(
                f"{self._client.where}: the API objects are as they were before the run, but {runs} is not proven to "
                f"work again: {problem} The snapshot is kept, so that `python -m workflows restore --environment "
                f"{self._client.where}` looks again; if you know better, give it up: kubectl -n {KUBE_SYSTEM} delete "
                f"configmap {STATE}."
            ) from None
        finally:
            prepare.clear(self._client, wait=True)

    def settle_for_person(self, dataplane: str) -> Settlement:
        """Wait for the proof on the measured nodes because a person asks, who looks no second time.

        Raises:
            NotSettledError: it isn't proven in time, or can't be.
        """
        try:
            return self._wait(dataplane, self.measured_nodes, settle.CLUSTER_TIMEOUT_S)
        finally:
            prepare.clear(self._client)

    def _wait(self, dataplane: str, measured: tuple[str, ...], timeout_s: float) -> Settlement:
        visit = Visit(visit=1, round=1, dataplane=dataplane, trials=())
        return settle.wait(
            lambda: self._observe(visit, "before", measured, gate.STABLE_S),
            lambda signs: settle.judge(signs, dataplane, measured),
            timeout_s,
            self._say,
        )

    def configure_for_person(self, dataplane: str) -> list[Change]:
        """Switch because a person asks; the lock is that person's, and so is restoring."""
        name = Arm.parse(dataplane).name
        return configure.configure(self._client, self._owner, name, self._asked_nodes, self._say, self._sleep)

    def commands(self, dataplane: str | None) -> list[str]:
        """The kubectl lines that configuring this dataplane, or restoring if None, would amount to now."""
        if dataplane is None:
            return restore.dry_run(self._client)
        return configure.dry_run(self._client, dataplane)

    def _pad(self, standing: Standing, measured: tuple[str, ...], settings: Settings) -> None:
        """Have the many Services early: each switch is then made with them, and their endpoints are whole in time.

        What keeps them from being had keeps prepare from it too, which fails by it.
        """
        try:
            prepare.pad(self._client, standing, measured, settings, variables=self._variables)
        except Problem as problem:
            self._say(f"the many Services are not there yet: {problem}")

    def _watch_the_switch(self, standing: Standing, measured: tuple[str, ...]) -> None:
        """Have connections that the switch may break. Without them the switch's cost is unknown, and no more."""
        try:
            observe.begin(self._client, standing, measured, self._variables)
        except Problem as problem:
            self._say(f"what the switch costs will not be seen: {problem}")

    @property
    def _asked_nodes(self) -> str:
        return self._variables.get(names.NODES, "")
