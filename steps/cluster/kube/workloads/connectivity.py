"""Whether a client gets through to a server, tried by pods that are taken away again."""

import operator
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from analysis.errors import Problem
from steps.catalogue.tools import CONNECTIVITY
from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import BENCHMARK
from steps.cluster.kube.probe.connections import Target
from steps.cluster.kube.probe.node_probe import Spec
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads import probe_pods, step_pods
from steps.cluster.kube.workloads.manifests import Container
from steps.cluster.kube.workloads.policies import suspects
from steps.cluster.kube.workloads.policies.suspects import SuspectPolicy
from steps.cluster.kube.workloads.workload import AlteredError, Workload
from steps.domain import Finding, Placement
from steps.polling import poll
from steps.settings.environment import IMAGE

REACH: Final = "reach"
CHECK: Final = "check"
OUTSIDE: Final = "check-outside"
_PODS: Final = f"{CHECK}-pods"
_ANSWERS: Final = "dataplane-benchmark/answers"
READY_PORT: Final = 5205
REACH_S: Final = 90.0
"""How long a new Service's address may take to lead to its server, the pods' start included."""

CHECK_S: Final = 10.0
_IMAGE_S: Final = 120.0
_POLL_S: Final = 0.5
_PROTOCOLS: Final = ("by TCP", "by UDP")
_SILENT: Final = "has said nothing of what it reaches"

# A new Service is refused for a second or two. The pod is ready when all of them have answered once.
_SCRIPT: Final = (
    'while [ $# -gt 0 ]; do if python -m steps.tools.connect_probe probe "$1" "$2" 0.1 | grep -q \'"count": [1-9]\'; '
    'then shift 2; else echo "$1 port $2 does not answer"; sleep 0.3; fi; done; '
    f"exec python -m steps.tools.connect_probe serve {READY_PORT}"
)


def wait(
    client: Client,
    placements: Sequence[Placement],
    image: str,
    timeout_s: float,
    requests: Mapping[str, str] = pods.STEP_REQUESTS,
) -> None:
    """Wait until the server of each placement answers the client there, on the connect probe's port.

    The clients are pinned as the measuring steps will be, and ask as much of their nodes: a step that could not be
    placed would wait for as long as a run may take, and these say so within a minute.

    The endpoints of the trials' Service are written after those of all Services before it, so once they answer, the
    others are whole as well.

    Raises:
        Problem: one does not; with its address.
    """
    workload = Workload(client, REACH)
    wanted = manifests(placements, image, requests)
    try:
        workload.ensure_pods(wanted, timeout_s)
    except Problem as error:
        silent = [_last(client, each["metadata"]["name"]) for each in wanted]
        reported = "; ".join(dict.fromkeys(line for line in silent if line))
        raise Problem(f"{error} {reported}" if reported else str(error)) from None
    finally:
        workload.delete(wait=False)


def manifests(
    placements: Sequence[Placement], image: str, requests: Mapping[str, str] = pods.STEP_REQUESTS
) -> list[pods.Object]:
    """One pod for each node and network that clients run in."""
    targets: dict[tuple[str, bool], dict[tuple[str, int], None]] = {}
    for each in placements:
        answering = each.address, each.ports[CONNECTIVITY.name]
        targets.setdefault((each.client_node, each.host_network), {})[answering] = None
    made = []
    for index, ((node, host_network), addresses) in enumerate(targets.items()):
        words = [word for address, port in addresses for word in (address, str(port))]
        argv = ("sh", "-c", _SCRIPT, REACH, *words)
        container = Container(REACH, argv, READY_PORT, requests=requests)
        name = f"{REACH}-{index}"
        made.append(pods.pod(name, REACH, name, node, [container], image, host_network=host_network))
    return made


def findings(
    client: Client,
    places: Sequence[probe_pods.Site],
    image: str,
    port: int,
    outside: probe_pods.Site | None = None,
    sleep: Callable[[float], None] = time.sleep,
    *,
    in_pods: bool = True,
) -> list[Finding]:
    """Whether the image starts on both nodes, and a port is open between them both ways, by TCP and by UDP.

    It is tried from node to node, and from pod to pod: what denies pods their traffic, a network
    policy of whatever kind, is found by what it does, and looked up by name.

    Args:
        client: of the cluster.
        places: the client's node and the server's.
        image: of the pods.
        port: iperf3's.
        outside: the node of the client outside, which is to reach a node port; None: nothing is asked of it.
        sleep: passes time.
        in_pods: whether anything that is measured is a pod's traffic.
    """
    inner, outer = Workload(client, CHECK), Workload(client, OUTSIDE)
    try:
        inner.ensure_services(_service(len(places), port))
        waiting = [*check_manifests(places, image, port), *_answering(places, image, port)]
        there = {pod["metadata"]["name"]: pod for pod in inner.ensure_pods(waiting, _IMAGE_S)}
        asking = _asking(places, there, image, port)
        inner.ensure_pods([*waiting, *asking], _IMAGE_S)
        found = _closed(client, [f"{CHECK}-{index}" for index in range(len(places))], sleep)
        suspected = suspects.read_policies(client, client.groups())
        shut = _unanswered(client, [each["metadata"]["name"] for each in asking], sleep)
        found += _denied(client, shut, found, suspected, in_pods=in_pods)
        if outside is not None:
            number = probe_pods.node_port(inner.services()[_PODS])
            manifest = outside_manifest(outside, places[0], number, image)
            found += _from_outside(client, outer, manifest, suspected, sleep)
    except AlteredError as error:
        return [Finding(severity="stop", subject="pods", reason=str(error), remedy=step_pods.remedy(client))]
    except Problem as error:
        return [Finding(severity="stop", subject="pods", reason=str(error), remedy=_start(client))]
    else:
        return found
    finally:
        outer.delete()
        inner.delete()


def _service(count: int, port: int) -> pods.Object:
    """The Service before the last node's answering pod, with a node port."""
    return pods.service(_PODS, CHECK, CHECK, {_ANSWERS: str(count - 1)}, pods.tcp_and_udp(CHECK, port), "NodePort")


def check_manifests(places: Sequence[probe_pods.Site], image: str, port: int) -> list[pods.Object]:
    """A pod in the network of each node, that answers there and asks at the other."""
    made = []
    for index, place in enumerate(places):
        other = places[(index + 1) % len(places)]
        way = Target(f"{other.node} ({other.address}) on port {port}", other.node, other.address, port)
        spec = Spec(place.node, place.address, host=True, targets=(way,), lines=(way,), echo=port)
        made.append(_pod(f"{CHECK}-{index}", CHECK, spec, image, {}))
    return made


def _answering(places: Sequence[probe_pods.Site], image: str, port: int) -> list[pods.Object]:
    """A pod in the pod network of each node, that answers there; the last one is behind the Service, too."""
    made = []
    for index, place in enumerate(places):
        spec = Spec(place.node, place.address, host=False, targets=(), lines=(), echo=port)
        made.append(_pod(f"{CHECK}-pod-{index}", CHECK, spec, image, {_ANSWERS: str(index)}))
    return made


def _asking(
    places: Sequence[probe_pods.Site], there: Mapping[str, pods.Object], image: str, port: int
) -> list[pods.Object]:
    """A pod in the pod network of each node, that asks at the other's that answers.

    At its own address: a Service that is not written everywhere yet would look like a denial.
    """
    made = []
    for index, place in enumerate(places):
        other = (index + 1) % len(places)
        address = pods.ip(there[f"{CHECK}-pod-{other}"])
        way = Target(f"a pod on {places[other].node}", places[other].node, address, port)
        spec = Spec(place.node, place.address, host=False, targets=(way,), lines=(way,))
        made.append(_pod(f"{CHECK}-ask-{index}", CHECK, spec, image, {}))
    return made


def _denied(
    client: Client, shut: Sequence[str], closed: Sequence[Finding], suspected: Sequence[SuspectPolicy], *, in_pods: bool
) -> list[Finding]:
    """What pods don't get an answer from though nodes do, and the policies that may be why."""
    between_nodes = " ".join(finding.reason for finding in closed)
    own = [way for way in shut if not any(end in way and end in between_nodes for end in (*_PROTOCOLS, _SILENT))]
    if not own:
        return []
    ways = "; ".join(way if way.endswith(_SILENT) else f"a pod on {way}" for way in own)
    severity: Literal["stop", "warn"] = "stop" if in_pods else "warn"
    reason = f"{ways}: {suspects.clause(suspected)}."
    remedy = suspects.remedy(suspected, client.namespace)
    return [Finding(severity=severity, subject="pods", reason=reason, remedy=remedy)]


def outside_manifest(outside: probe_pods.Site, near: probe_pods.Site, number: int, image: str) -> pods.Object:
    """A pod on the node outside, that asks at a node port."""
    way = Target(f"a NodePort of {near.node} ({near.address}, port {number})", near.node, near.address, number)
    spec = Spec(outside.node, outside.address, host=True, targets=(way,), lines=(way,))
    return _pod(OUTSIDE, OUTSIDE, spec, image, {})


def _pod(name: str, part: str, spec: Spec, image: str, labels: dict[str, str]) -> pods.Object:
    argv = ("python", "-m", "steps.cluster.kube.probe.node_probe", spec.text())
    container = Container("look", argv, spec.echo, requests=pods.STEP_REQUESTS)
    return pods.pod(name, part, name, spec.node, [container], image, host_network=spec.host, labels=labels)


def _from_outside(
    client: Client,
    workload: Workload,
    manifest: pods.Object,
    suspected: Sequence[SuspectPolicy],
    sleep: Callable[[float], None],
) -> list[Finding]:
    """What keeps the client outside from being measured; all else can be."""
    try:
        workload.ensure_pods([manifest], _IMAGE_S)
        found = _closed(client, [OUTSIDE], sleep)
        if suspected:
            remedy = suspects.remedy(suspected, client.namespace)
            also = suspects.clause(suspected)
            found = [f.model_copy(update={"reason": f"{f.reason}: {also}.", "remedy": remedy}) for f in found]
    except Problem as error:
        found = [Finding(severity="stop", subject="pods", reason=str(error), remedy=_start(client))]
    topologies = [topology.name for topology in TOPOLOGIES if topology.client == "outside"]
    return [each.model_copy(update={"severity": "skip", "subject": name}) for name in topologies for each in found]


def _closed(client: Client, askers: Sequence[str], sleep: Callable[[float], None]) -> list[Finding]:
    """What the pods don't get an answer from, by which protocol, once there was time for one."""
    return [
        Finding(
            severity="stop",
            subject="node-to-node",
            reason=reason,
            remedy="No command here mends that: open it by TCP and UDP in firewalls and security groups.",
        )
        for reason in _unanswered(client, askers, sleep)
    ]


def _unanswered(client: Client, askers: Sequence[str], sleep: Callable[[float], None]) -> list[str]:
    def shut() -> list[str]:
        logs = {name: client.log(name, BENCHMARK, tail_lines=2, timestamps=False) for name in askers}
        return [way for name, log in logs.items() for way in _shut(name, probe_pods.parse(log))]

    # polled: it is in logs
    return poll(shut, operator.not_, pause_s=_POLL_S, timeout_s=CHECK_S, sleep=sleep)


def _shut(name: str, report: pods.Object | None) -> list[str]:
    if report is None:
        return [f"pod {name} {_SILENT}"]
    tcp = [way["name"] for way in report["answers"] if not way["ok_at"]]
    udp = [line["name"] for line in report["lines"] if line["protocol"] == "udp" and not line["received"]]
    return [
        f"{report['node']} gets no answer from {way} by {protocol}"
        for protocol, ways in (("TCP", tcp), ("UDP", udp))
        for way in ways
    ]


def _start(client: Client) -> str:
    return (
        f"Check that {IMAGE} names an image which every node can pull, and that pods may run: "
        f"`kubectl -n {client.namespace} get events`."
    )


def _last(client: Client, pod: str) -> str:
    lines = client.log(pod, BENCHMARK, tail_lines=1, timestamps=False).decode(errors="replace").splitlines()
    return f"{pod}: {lines[-1]}" if lines else ""
