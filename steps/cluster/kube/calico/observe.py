"""Look at every node of a cluster: Felix's logs, and the benchmark's own pods that look from within."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from analysis.console.notices import print_notice
from analysis.errors import Problem
from steps.catalogue.dataplanes import AS_IS, Arm
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import KUBE_PROXY, KUBE_SYSTEM, PODS
from steps.cluster.kube.calico import felix_log, kube_proxy, readiness
from steps.cluster.kube.calico.felix_log import FelixLog
from steps.cluster.kube.calico.objects import CALICO_NODE
from steps.cluster.kube.calico.signs import Observation
from steps.cluster.kube.calico.switch import ClusterState
from steps.cluster.kube.probe import connections
from steps.cluster.kube.workloads import manifests, probe_pods, step_pods
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Moment, Sign, SwitchCost, Visit
from steps.polling import poll
from steps.proof.wait import FOR_GOOD, WAITING

Object = dict[str, Any]

BEFORE_STABLE_S: Final = 10.0
"""Before the trials: the rest of the stretch that must pass without a restart is theirs, and is looked at after."""

AFTER_S: Final = 75.0
"""How long the look after the last trial waits for what is wanting."""

_POLL_S: Final = 2.0
_MARGIN: Final = timedelta(seconds=10)
_LINES: Final = 50_000
_YOUNG: Final = timedelta(seconds=30)

Say = Callable[[str], None]


def observe(
    client: Client,
    standing: ClusterState,
    measured: Sequence[str],
    visit: Visit,
    moment: Moment,
    *,
    stable_s: float | None = None,
    variables: Mapping[str, str] = os.environ,
    say: Say = print_notice,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Sign]:
    """Look once before the trials; after them, until what must pass without a restart has passed.

    What speaks against the switch's being over is among the signs, agreeing with no dataplane; so is a fallback, which
    is for good. A node whose Services kube-proxy has left without rules gets the known cure, which is among them too.

    `stable_s`: what must pass without a restart; None: before the trials only a part of it, since they are the rest.

    Raises:
        Problem: nothing can be looked at.
    """
    asked = visit.dataplane
    if Arm.parse(asked).name == AS_IS:
        added = _added_to_steps(client, variables, measured, client.now()) if moment == "after" else []
        return [*_as_is(standing, measured, moment, client.now()), *added]
    places = probe_pods.sites(standing.nodes, measured)
    probe_pods.start(client, places, manifests.image(variables))
    if stable_s is None:
        stable_s = BEFORE_STABLE_S if moment == "before" else readiness.STABLE_S

    def once() -> tuple[datetime, Sequence[Observation], Sequence[Sign]]:
        now = client.now()
        observations = read_observations(client, standing, places)
        return (
            now,
            observations,
            readiness.reported_signs(
                observations,
                asked,
                now,
                nodes=measured,
                changed_at=standing.changed_at,
                stable_s=stable_s,
                moment=moment,
            ),
        )

    if moment == "before":
        now, observations, found = once()
        return [*found, *_cost(client, places, now), *_cure(client, standing, observations, now, say)]
    # polled: what is waited for is in logs, and is that time passes
    now, observations, found = poll(
        once,
        lambda look_: _is_final(look_[2]),
        pause_s=_POLL_S,
        timeout_s=AFTER_S,
        sleep=sleep,
        again=lambda look_: say(f"looking again: {_waits(look_[2])[0]}"),
    )
    return [*found, *_restarts(client, observations, now), *_added_to_steps(client, variables, measured, now)]


def _waits(found: Sequence[Sign]) -> list[str]:
    return [f"{sign.node}: {sign.seen}" for sign in found if sign.looked_at == WAITING]


def _is_final(found: Sequence[Sign]) -> bool:
    return not _waits(found) or any(sign.looked_at == FOR_GOOD for sign in found)


def start_probes(client: Client, standing: ClusterState, measured: Sequence[str], variables: Mapping[str, str]) -> None:
    """Have new looking pods before a switch, so that they see what this one costs.

    Raises:
        Problem: they can't be had.
    """
    image = manifests.image(variables)
    probe_pods.stop(client)
    probe_pods.start(client, probe_pods.sites(standing.nodes, measured), image)


def read_observations(client: Client, standing: ClusterState, places: Sequence[probe_pods.Site]) -> list[Observation]:
    """One look at the measured nodes, and at the logs of every other node that Calico manages."""
    measured = [place.node for place in places]
    reports = probe_pods.latest_reports(client, places)
    logs = read_logs(client, standing, measured)
    found = []
    for node in measured:
        missed = [] if logs.get(node) is not None else ["calico-node's log could not be read"]
        if reports[node].host is None:
            missed.append("no pod there has said anything yet")
        found.append(
            Observation(
                node,
                logs.get(node),
                reports[node].host,
                reports[node].answers,
                tuple(missed),
                follows_proxy=standing.facts.follows_kube_proxy,
                silenced=standing.facts.silenced,
            )
        )
    found += [Observation(node, reading) for node, reading in logs.items() if node not in measured]
    return found


def read_logs(client: Client, standing: ClusterState, measured: Sequence[str]) -> dict[str, FelixLog | None]:
    """Felix's log on every node, by node. None: the pod is gone, or its log empty.

    What was logged since the last change is enough where Felix has started since; where it has not, its whole log tells
    what it has run as ever since, on the measured nodes.
    """
    namespace = standing.facts.calico_namespace
    if namespace is None:
        return {}
    since = standing.changed_at - _MARGIN if standing.changed_at is not None else None
    found: dict[str, FelixLog | None] = {}
    for pod in client.list(PODS, namespace, labels=standing.facts.agent_labels):
        node = (pod.get("spec") or {}).get("nodeName")
        if not node or pod["metadata"].get("deletionTimestamp"):
            continue
        name = pod["metadata"]["name"]
        reading = None
        if since is None and node not in measured:
            continue
        if since is not None:
            reading = felix_log.read_felix_log(client.log(name, namespace, container=CALICO_NODE, since=since))
        began = reading is not None and reading.current is not None and reading.current.started_at is not None
        if not began and node in measured:
            reading = felix_log.read_felix_log(client.log(name, namespace, container=CALICO_NODE, tail_lines=_LINES))
        found[node] = reading if reading is not None and reading.current is not None else None
    return found


def _cost(client: Client, places: Sequence[probe_pods.Site], now: datetime) -> list[Sign]:
    return [
        Sign(
            moment="before",
            node=node,
            looked_at="long-lived connections",
            seen=_told(observations),
            at=now,
            indicates=None,
        )
        for node, observations in probe_pods.latest_reports(client, places).items()
    ]


def _told(observations: probe_pods.NodeReport) -> str:
    gap_s = max(observations.cost.tcp_longest_gap_s or 0.0, observations.cost.udp_longest_gap_s or 0.0)
    dropped = f"{observations.cost.dropped} of {observations.cost.connections} dropped or silent"
    return f"{dropped}; {observations.cost.udp_lost_packets or 0} datagrams lost; longest silence {gap_s:.1f} s"


def connection_cost(
    client: Client, standing: ClusterState, measured: Sequence[str], sleep: Callable[[float], None] = time.sleep
) -> SwitchCost | None:
    """What has become of the long-lived connections since the looking pods came; None: there are no such pods.

    One that is silent is waited for, until it has answered or is dead.
    """
    places = probe_pods.sites(standing.nodes, measured)
    if not Workload(client, probe_pods.PART).pods():
        return None
    # polled: it is in logs
    observations = poll(
        lambda: probe_pods.latest_reports(client, places).values(),
        lambda found: not any(each.silent for each in found),
        pause_s=_POLL_S,
        timeout_s=connections.DEAD_S + _POLL_S,
        sleep=sleep,
    )
    return probe_pods.total(each.cost for each in observations)


def _cure(
    client: Client, standing: ClusterState, observations: Sequence[Observation], now: datetime, say: Say
) -> list[Sign]:
    bare = readiness.nodes_without_rules(observations, now)
    if not bare:
        return []
    proxy = standing.facts.kube_proxy
    labels = kube_proxy.selector(proxy) if proxy else f"k8s-app={KUBE_PROXY}"
    found = []
    for pod in client.list(PODS, KUBE_SYSTEM, labels=labels):
        node = (pod.get("spec") or {}).get("nodeName")
        made = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        if node not in bare or pod["metadata"].get("deletionTimestamp") or now - made < _YOUNG:
            continue
        name = pod["metadata"]["name"]
        say(f"{node}: Services do not answer: kube-proxy has no rules there; deleting its pod {name}")
        client.delete(PODS, name, KUBE_SYSTEM, uid=pod["metadata"]["uid"])
        seen_ = f"Services did not answer: kubectl -n {KUBE_SYSTEM} delete pod {name}"
        found.append(Sign(moment="before", node=node, looked_at="cure", seen=seen_, at=now, indicates=None))
    return found


def _restarts(client: Client, observations: Sequence[Observation], now: datetime) -> list[Sign]:
    """A Felix that started again after the trials' pods were made voids the trials."""
    made = [
        datetime.fromisoformat(p["metadata"]["creationTimestamp"])
        for p in Workload(client, manifests.TRIALS).pods().values()
    ]
    if not made:
        return []
    found = []
    for observation in observations:
        if observation.felix is None or observation.host is None:
            continue
        events = [(at, "Felix started again") for at in observation.felix.starts(min(made))]
        events += [(mark.at, f"Felix crashed ({mark.text})") for mark in observation.felix.panics(min(made))]
        found += [
            Sign(
                moment="after",
                node=observation.node,
                looked_at="Felix's log",
                seen=f"{what}, after the trials had begun",
                at=at or now,
                indicates=(),
            )
            for at, what in events
        ]
    return found


def _added_to_steps(client: Client, variables: Mapping[str, str], measured: Sequence[str], now: datetime) -> list[Sign]:
    """What was added to the pods that measured, which voids what they measured: a proxy in the path, most likely."""
    found = step_pods.pods_of_run(client, variables)
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
        raise Problem(f"node {missing[0]} is not in the cluster any more: name others in BENCHMARK_NODES.")
    observations = runs or "no network plugin that is known here"
    return [
        Sign(moment=moment, node=node, looked_at="what runs", seen=observations, at=now, indicates=(AS_IS,))
        for node in measured
    ]
