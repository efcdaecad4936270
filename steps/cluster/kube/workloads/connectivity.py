"""Whether clients reach the servers, tried by pods that are deleted afterwards."""

import operator
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Final, Literal

from analysis.console.excerpts import excerpt
from analysis.errors import Problem
from steps.catalogue.tools import CONNECTIVITY
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK
from steps.cluster.kube.findings import stop
from steps.cluster.kube.probe.connections import Target
from steps.cluster.kube.probe.node_probe import Spec
from steps.cluster.kube.probe.report import ProbeReport
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
CHECK_S: Final = 10.0
DEADLINE_S: Final = 3600
"""The longest life of these pods: longer than 10,000 Services take to get their endpoints."""

_IMAGE_S: Final = 120.0
_POLL_S: Final = 0.5
_LONGEST_LINE_BYTES: Final = 4096
_PROTOCOLS: Final = ("by TCP", "by UDP")
_SILENT: Final = "has reported nothing that this version of the program can read"
_READY: Final = "/tmp/ready"  # noqa: S108 - in the pod's own volume

# A new Service refuses connections for a second or two. The pod is ready when all addresses have answered once.
_SCRIPT: Final = (
    'while [ $# -gt 0 ]; do if python -m steps.tools.connect_probe probe "$1" "$2" 0.1 | grep -q \'"count": [1-9]\'; '
    'then shift 2; else echo "$1 port $2 does not answer"; sleep 0.3; fi; done; '
    f": > {_READY}; exec sleep infinity"
)


def wait(
    client: Client, placements: Sequence[Placement], image: str, timeout_s: float, requests: Mapping[str, str]
) -> None:
    """Wait until the server of each placement answers a client there, on the connect probe's port.

    The clients are pinned like the measuring steps and have their requests: a step without a node would wait for hours,
    and these fail within a minute.

    The endpoints of the trials' Service come after those of all earlier Services, so that these are complete too.

    Raises:
        Problem: one does not answer; with its address.
    """
    workload = Workload(client, REACH)
    wanted = manifests(placements, image, requests)
    try:
        workload.ensure_pods(wanted, timeout_s)
    except Problem as error:
        lines = [_last_line(client, each["metadata"]["name"]) for each in wanted]
        reported = "; ".join(dict.fromkeys(line for line in lines if line))
        raise Problem(f"{error} {reported}" if reported else str(error)) from None
    finally:
        workload.delete(wait=False)


def manifests(placements: Sequence[Placement], image: str, requests: Mapping[str, str]) -> list[Object]:
    """A pod for each node and network with clients."""
    targets: dict[tuple[str, bool], dict[tuple[str, int], None]] = {}
    for each in placements:
        server = each.address, each.ports[CONNECTIVITY.name]
        targets.setdefault((each.client_node, each.host_network), {})[server] = None
    pod = partial(pods.pod, part=REACH, image_name=image, deadline_s=DEADLINE_S, restarts=False)
    made = []
    for index, ((node, host_network), addresses) in enumerate(targets.items()):
        words = [word for address, port in addresses for word in (address, str(port))]
        argv = ("sh", "-c", _SCRIPT, REACH, *words)
        container = Container(REACH, argv, creates=_READY, requests=requests)
        made.append(pod(f"{REACH}-{index}", node=node, containers=[container], host_network=host_network))
    return made


def findings(
    client: Client,
    places: Sequence[probe_pods.Site],
    image: str,
    port: int,
    outside: probe_pods.Site | None,
    *,
    in_pods: bool,
    from_outside: Sequence[str],
) -> list[Finding]:
    """Whether the image starts on both nodes, and a port is open between them both ways, by TCP and by UDP.

    It is tried from node to node, from pod to pod and from node to pod: a network policy of any kind is found by its
    effect.

    `places`: the client's node and the server's. `port`: iperf3's. `outside`: the node of the client outside, which has
    to reach a node port, and `from_outside` its topologies; None: there is none. `in_pods`: whether traffic of pods is
    measured.
    """
    inner, outer = Workload(client, CHECK), Workload(client, OUTSIDE)
    token = secrets.token_hex(16)
    try:
        # before the last node's server
        answers = {_ANSWERS: str(len(places) - 1)}
        inner.ensure_services(pods.service(_PODS, CHECK, answers, pods.tcp_and_udp(CHECK, port), "NodePort"))
        servers = [*check_manifests(places, image, port, token), *_servers(places, image, port, token)]
        there = {pod["metadata"]["name"]: pod for pod in inner.ensure_pods(servers, _IMAGE_S)}
        clients = [_clients(places, there, image, port, token, host=host) for host in (False, True)]
        inner.ensure_pods([*servers, *chain.from_iterable(clients)], _IMAGE_S)
        found = _closed(client, [f"{CHECK}-{index}" for index in range(len(places))])
        suspected = suspects.read_policies(client, client.groups())
        pods_shut, nodes_shut = (_unanswered(client, [each["metadata"]["name"] for each in group]) for group in clients)
        shut = [f"a pod on {way}" if not way.endswith(_SILENT) else way for way in pods_shut]
        found += _denied(client, shut, found, suspected, "stop" if in_pods else "warn")
        # by this way the benchmark's own steps reach its servers
        found += _denied(client, nodes_shut, found, suspected, "stop")
        if outside is not None:
            number = probe_pods.node_port(inner.services()[_PODS])
            manifest = outside_manifest(outside, places[0], number, image, token)
            found += _from_outside(client, outer, manifest, suspected, from_outside)
    except AlteredError as error:
        return [stop(str(error), step_pods.remedy(client), "pods")]
    except Problem as error:
        return [stop(str(error), _start(client), "pods")]
    else:
        return found
    finally:
        outer.delete()
        inner.delete()


def check_manifests(places: Sequence[probe_pods.Site], image: str, port: int, token: str) -> list[Object]:
    """A server in each node's own network, which is a client of the other one."""
    made = []
    for index, place in enumerate(places):
        other = places[(index + 1) % len(places)]
        way = Target(f"{other.node} ({other.address}) on port {port}", other.node, other.address, port)
        spec = Spec(place.node, place.address, True, token, (way,), (way,), echo=port)  # noqa: FBT003
        made.append(_pod(f"{CHECK}-{index}", CHECK, spec, image, {}))
    return made


def _servers(places: Sequence[probe_pods.Site], image: str, port: int, token: str) -> list[Object]:
    """A server in the pod network of each node; the last one is behind the Service, too."""
    made = []
    for index, place in enumerate(places):
        spec = Spec(place.node, place.address, False, token, (), (), echo=port)  # noqa: FBT003
        made.append(_pod(f"{CHECK}-pod-{index}", CHECK, spec, image, {_ANSWERS: str(index)}))
    return made


def _clients(
    places: Sequence[probe_pods.Site], there: Mapping[str, Object], image: str, port: int, token: str, *, host: bool
) -> list[Object]:
    """A client in the pod network of each node, or in its own one, of the other node's server by its own address.

    A Service that is not complete on all nodes yet would look like a denial.
    """
    made = []
    for index, place in enumerate(places):
        other = (index + 1) % len(places)
        address = pods.ip(there[f"{CHECK}-pod-{other}"])
        way = Target(f"a pod on {places[other].node}", places[other].node, address, port)
        spec = Spec(place.node, place.address, host, token, (way,), (way,))
        made.append(_pod(f"{CHECK}-{'node' if host else 'client'}-{index}", CHECK, spec, image, {}))
    return made


def _denied(
    client: Client,
    shut: Sequence[str],
    closed: Sequence[Finding],
    suspected: Sequence[SuspectPolicy],
    severity: Literal["stop", "warn"],
) -> list[Finding]:
    """What gets no answer from pods alone, and the policies that may be the reason."""
    between_nodes = " ".join(finding.reason for finding in closed)
    own = [way for way in shut if not any(end in way and end in between_nodes for end in (*_PROTOCOLS, _SILENT))]
    if not own:
        return []
    reason = f"{'; '.join(own)}: {suspects.clause(suspected)}."
    remedy = suspects.remedy(suspected, client.namespace)
    return [Finding(severity=severity, subject="pods", reason=reason, remedy=remedy)]


def outside_manifest(outside: probe_pods.Site, near: probe_pods.Site, number: int, image: str, token: str) -> Object:
    """A client of a node port, on the node outside."""
    way = Target(f"a NodePort of {near.node} ({near.address}, port {number})", near.node, near.address, number)
    spec = Spec(outside.node, outside.address, True, token, (way,), (way,))  # noqa: FBT003
    return _pod(OUTSIDE, OUTSIDE, spec, image, {})


def _pod(name: str, part: str, spec: Spec, image: str, labels: dict[str, str]) -> Object:
    make = partial(probe_pods.pod, deadline_s=DEADLINE_S, requests=pods.STEP_REQUESTS)
    return make(name, part, spec, image, labels=labels, listens=spec.echo)


def _from_outside(
    client: Client,
    workload: Workload,
    manifest: Object,
    suspected: Sequence[SuspectPolicy],
    topologies: Sequence[str],
) -> list[Finding]:
    """Why the client outside can't be measured; all else can be."""
    try:
        workload.ensure_pods([manifest], _IMAGE_S)
        found = _closed(client, [OUTSIDE])
        if suspected:
            remedy = suspects.remedy(suspected, client.namespace)
            also = suspects.clause(suspected)
            found = [f.model_copy(update={"reason": f"{f.reason}: {also}.", "remedy": remedy}) for f in found]
    except Problem as error:
        found = [stop(str(error), _start(client), "pods")]
    return [each.model_copy(update={"severity": "skip", "subject": name}) for name in topologies for each in found]


def _closed(client: Client, clients: Sequence[str]) -> list[Finding]:
    """What these pods get no answer from, by which protocol, after some time."""
    remedy = "No command here mends that: open it by TCP and UDP in firewalls and security groups."
    return [stop(reason, remedy, "node-to-node") for reason in _unanswered(client, clients)]


def _unanswered(client: Client, clients: Sequence[str]) -> list[str]:
    def shut() -> list[str]:
        return [way for name in clients for way in _shut(name, probe_pods.latest_report(client, name))]

    return poll(shut, operator.not_, pause_s=_POLL_S, timeout_s=CHECK_S)


def _shut(name: str, report: ProbeReport | None) -> list[str]:
    if report is None:
        return [f"pod {name} {_SILENT}"]
    tcp = [answer.target for answer in report.answers if not answer.ok_at]
    udp = [line.name for line in report.lines if line.protocol == "udp" and not line.received]
    return [
        f"{excerpt(report.node)} gets no answer from {excerpt(way)} by {protocol}"
        for protocol, ways in (("TCP", tcp), ("UDP", udp))
        for way in ways
    ]


def _start(client: Client) -> str:
    return (
        f"Check that {IMAGE} names an image which every node can pull, and that pods may run: "
        f"`kubectl -n {client.namespace} get events`."
    )


def _last_line(client: Client, pod: str) -> str:
    log = client.log(pod, BENCHMARK, tail_lines=1, timestamps=False, limit_bytes=_LONGEST_LINE_BYTES)
    line = excerpt(log.decode(errors="replace"))
    return f"{pod}: {line}" if line else ""
