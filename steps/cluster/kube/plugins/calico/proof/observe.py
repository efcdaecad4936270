"""The signs of a visit's dataplane on every node: by Felix's logs and the benchmark's probe pods."""

import operator
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from analysis.errors import Problem
from steps.catalogue.dataplanes import AS_IS, Arm
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, PODS
from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.plugins.calico.felix.agent import FELIX
from steps.cluster.kube.plugins.calico.proof import readiness
from steps.cluster.kube.plugins.calico.proof.observations import read_observations
from steps.cluster.kube.plugins.calico.proof.readiness import Readiness
from steps.cluster.kube.plugins.calico.proof.switch_cost import cost_signs
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState
from steps.cluster.kube.workloads import manifests, probe_pods, step_pods
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Moment, Sign, Visit
from steps.polling import poll
from steps.proof.evaluate import RESTART
from steps.proof.wait import FOR_GOOD, WAITING

BEFORE_STABLE_S: Final = 10.0
"""The time without a restart that must pass before the trials; the rest is checked after them."""

SWITCH_S: Final = 90.0
"""How long new pods wait for Felix after a switch: it takes up to half a minute, twice where it crashes once."""

AFTER_S: Final = 75.0
"""How long the observation after the last trial waits for missing signs."""

_POLL_S: Final = 0.5
_FIRST_POLL_S: Final = 0.3
"""After the trials most signs are there as soon as the probe pods have reported."""
_AFTER_POLL_S: Final = 0.5
"""No trial is disturbed any more, and the next visit waits."""
_WAKE_S: Final = 3.0
_WAKE_POLL_S: Final = 0.2
"""How long woken probes may take to look at their nodes: before that, Felix's logs are read in vain."""

_YOUNG: Final = timedelta(seconds=30)
"""The age below which an agent's pod may not have written its rules yet."""


def observe(
    around: Surroundings,
    standing: ClusterState,
    measured: Sequence[str],
    visit: Visit,
    moment: Moment,
    *,
    whole: bool = False,
    unprobed: Sequence[str] = (),
) -> list[Sign]:
    """Observe once before the trials; after them, repeatedly until the time without a restart has passed.

    An incomplete switch and a permanent fallback are signs that agree with no dataplane. On a node without kube-proxy's
    rules, kube-proxy's pod is deleted, and calico-node's where Felix lost an interface; each is a sign too.

    `whole`: the whole time without a restart must have passed, also before the trials. `unprobed`: nodes without a
    probe pod, of which Felix's log alone tells.

    Raises:
        Problem: the nodes can't be observed.
    """
    client = around.client
    if Arm.parse(visit.dataplane).name == AS_IS:
        added = _added_to_steps(around, measured, client.now()) if moment == "after" else []
        return [*_as_is(standing, measured, moment, client.now()), *added]
    places = probe_pods.sites(standing.nodes, measured)
    probe_pods.start(client, places, manifests.image(around.variables), FELIX)
    stable_s = readiness.STABLE_S if whole or moment == "after" else BEFORE_STABLE_S

    def once() -> tuple[Readiness, list[Sign]]:
        found, signs = look()
        unclear = found.unclear_nodes()
        if not unclear:
            return found, signs
        # what Felix printed when it started is gone; it prints the same of each interface that it sets up
        around.say(
            f"the lines of Felix's start are gone on {' and '.join(unclear)}: starting a pod there to get others"
        )
        new = [place for place in places if place.node in unclear]
        probe_pods.add_interfaces(client, new, manifests.image(around.variables))
        return look()

    def latest() -> dict[str, probe_pods.NodeReport]:
        return probe_pods.latest_reports(client, places)

    def look() -> tuple[Readiness, list[Sign]]:
        now = client.now()
        reports = latest()
        observations = read_observations(client, standing, reports)
        found = Readiness(observations, visit.dataplane, now, measured, standing.changed_at, stable_s)
        cost = cost_signs(reports, now) if moment == "before" else []
        return found, [*found.signs(moment, unprobed), *cost]

    if moment == "before":
        found, signs = once()
        return [*signs, *_restart_agents(around, standing, found)]
    poll(
        lambda: all(readiness.is_fresh(report.host, client.now()) for report in latest().values()),
        operator.truth,
        pause_s=_WAKE_POLL_S,
        timeout_s=_WAKE_S,
        sleep=around.sleep,
    )
    # polled, since it is read from logs and waits for time to pass
    found, signs = poll(
        once,
        lambda result: _is_final(result[1]),
        pause_s=_FIRST_POLL_S,
        longest_pause_s=_AFTER_POLL_S,
        timeout_s=AFTER_S,
        sleep=around.sleep,
        again=lambda result: around.say(f"waiting: {_waits(result[1])[0]}"),
    )
    return [*signs, *_restarts(client, found), *_added_to_steps(around, measured, found.now)]


def await_switch(around: Surroundings, standing: ClusterState, measured: Sequence[str], visit: Visit) -> None:
    """Wait until Felix on each measured node runs what the last switch made, so that new pods are made for it.

    Raises:
        Problem: it does not in time; with the reason.
    """
    if Arm.parse(visit.dataplane).name == AS_IS:
        return
    places = probe_pods.sites(standing.nodes, measured)

    def look() -> list[str]:
        now = around.client.now()
        observations = read_observations(around.client, standing, probe_pods.latest_reports(around.client, places))
        return Readiness(observations, visit.dataplane, now, measured, standing.changed_at, stable_s=0.0).unswitched()

    left = poll(look, operator.not_, pause_s=_POLL_S, timeout_s=SWITCH_S, sleep=around.sleep)
    if left:
        raise Problem(f"the switch is not over after {SWITCH_S:.0f} s: {'; '.join(left)}")


def _waits(found: Sequence[Sign]) -> list[str]:
    return [f"{sign.node}: {sign.seen}" for sign in found if sign.looked_at == WAITING]


def _is_final(found: Sequence[Sign]) -> bool:
    return not _waits(found) or any(sign.looked_at == FOR_GOOD for sign in found)


def _restart_agents(around: Surroundings, standing: ClusterState, observed: Readiness) -> list[Sign]:
    """Delete kube-proxy's pod on each node without its rules, and calico-node's where Felix lost an interface."""
    facts = standing.facts
    found = []
    if bare := readiness.nodes_without_rules(observed.observations, observed.now):
        why = "Services do not answer: kube-proxy has no rules there"
        found += _delete_pods(around, KUBE_SYSTEM, facts.kube_proxy_labels, bare, why, observed.now)
    lost = readiness.nodes_with_lost_interfaces(observed.observations)
    if lost and facts.calico_namespace is not None:
        why = "Felix takes an interface for deleted that exists"
        found += _delete_pods(around, facts.calico_namespace, facts.agent_labels, lost, why, observed.now)
    return found


def _delete_pods(
    around: Surroundings, namespace: str, labels: str, nodes: Sequence[str], why: str, now: datetime
) -> list[Sign]:
    """Delete an agent's pod on each of these nodes, but not one that has only just started."""
    found = []
    for pod in around.client.list(PODS, namespace, labels=labels):
        node = (pod.get("spec") or {}).get("nodeName")
        created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        if node not in nodes or pod["metadata"].get("deletionTimestamp") or now - created < _YOUNG:
            continue
        name = pod["metadata"]["name"]
        around.say(f"{node}: {why}; deleting its pod {name}")
        around.client.delete(PODS, name, namespace, uid=pod["metadata"]["uid"])
        command = f"{why}: {around.client.kubectl} -n {namespace} delete pod {name}"
        found.append(Sign(moment="before", node=node, looked_at="cure", seen=command, at=now, indicates=None))
    return found


def _restarts(client: Client, observed: Readiness) -> list[Sign]:
    """The restarts of Felix after the trials' pods were created, which void the trials unless the proof came later."""
    created = [
        datetime.fromisoformat(p["metadata"]["creationTimestamp"])
        for p in Workload(client, manifests.TRIALS).pods().values()
    ]
    if not created:
        return []
    found = []
    for observation in observed.observations:
        if observation.felix is None or observation.host is None:
            continue
        events = [(at, "Felix started again") for at in observation.felix.starts(min(created))]
        events += [(mark.at, f"Felix crashed ({mark.text})") for mark in observation.felix.panics(min(created))]
        found += [
            Sign(
                moment="after",
                node=observation.node,
                looked_at=RESTART,
                seen=f"{what} after the trials' pods were made",
                at=at,
                indicates=(),
            )
            for at, what in events
        ]
    return found


def _added_to_steps(around: Surroundings, measured: Sequence[str], now: datetime) -> list[Sign]:
    """What was injected into the measuring pods, such as a proxy in the path, which voids the trials."""
    found = step_pods.pods_of_run(around.client, around.variables)
    where = {pod["metadata"]["name"]: (pod.get("spec") or {}).get("nodeName") for pod in found}
    return [
        Sign(
            moment="after",
            node=where[name] or measured[0],
            looked_at="the steps' pods",
            seen=step_pods.alteration_sentence({name: clauses}),
            at=now,
            indicates=(),
        )
        for name, clauses in step_pods.altered_pods(found).items()
    ]


def _as_is(standing: ClusterState, measured: Sequence[str], moment: Moment, now: datetime) -> list[Sign]:
    facts = standing.facts
    runs = "VPP" if facts.vpp else ", ".join(facts.other_cnis)
    if facts.install is not None and (not runs or (facts.policy_only and not facts.vpp)):
        calico = f"Calico {facts.calico_version or 'of unknown version'}, {facts.dataplane or 'unknown dataplane'}"
        runs = f"{calico}, for policy on {runs}" if runs else calico
        runs += ", Services by kube-proxy in IPVS mode" if facts.ipvs else ""
    known = {node.name for node in facts.nodes}
    missing = [node for node in measured if node not in known]
    if missing:
        raise Problem(f"node {missing[0]} is not in the cluster any more: choose others in BENCHMARK_NODES.")
    seen = runs or "no known network plugin"
    return [
        Sign(moment=moment, node=node, looked_at="what runs", seen=seen, at=now, indicates=(AS_IS,))
        for node in measured
    ]
