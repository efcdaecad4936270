"""The probe pods, which observe the measured nodes from within during a switch, and their latest reports.

Each node has one in its own network and one in the pod network. They connect to each other through Services and node
ports, which shows whose rules are missing, and the effect of a switch on long-lived connections. They stay from visit
to visit, and rest during the trials.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import ValidationError

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK
from steps.cluster.kube.probe import rest as resting
from steps.cluster.kube.probe.agent import Agent
from steps.cluster.kube.probe.connections import Target
from steps.cluster.kube.probe.node_probe import Spec
from steps.cluster.kube.probe.report import ConnectionReport, HostProbe, ProbeReport, ServiceProbe
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads.manifests import Container
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import SwitchCost

PART: Final = "look"
ADDED: Final = "look-anew"
"""The part of the pods that are started for the interfaces that they get."""

PORT: Final = 5204
_ADDED_LIFE_S: Final = 600
_SILENT_S: Final = 2.0
_NOT_STARTED: Final = 400
"""The API's status for the log of a container that has not started."""

_FIRST: Final = 2
"""The measured nodes, which are the first sites."""

_LONGEST_LOG_BYTES: Final = 2**20
_SITE: Final = "dataplane-benchmark/site"


@dataclass(frozen=True, slots=True)
class Site:
    """A node that is observed."""

    node: str
    address: str


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The latest reports of one node's pods."""

    host: HostProbe | None
    answers: tuple[ServiceProbe, ...]
    lines: tuple[ConnectionReport, ...]

    @property
    def cost(self) -> SwitchCost:
        """Of everything since the pods started."""
        return _cost(self.lines, self.answers)

    @property
    def silent(self) -> int:
        """The number of connections that may yet fail or recover."""
        return sum(line.silent_s > _SILENT_S for line in _of(self.lines, "tcp"))


def start(client: Client, sites: Sequence[Site], image: str, agent: Agent, *, each: bool = False) -> None:
    """Create the pods and their Services, and wait until they run. Those that exist stay, and wake if they rest.

    `agent`: of the cluster's network plugin. `each`: as for `Workload.ensure_pods`.

    Raises:
        Problem: one does not run; with the reason.
    """
    if rests(client, sites):
        _tell(client, begins=False)
    workload = Workload(client, PART)
    wanted = [
        pods.service(f"{PART}-{index}", PART, {_SITE: str(index)}, pods.tcp_and_udp("echo", PORT), "NodePort")
        for index in range(len(sites))
    ]
    # those of the first sites first: a quota may allow no more
    for some in filter(None, (wanted[:_FIRST], wanted[_FIRST:])):
        workload.ensure_services(*some)
    token = next(filter(None, map(_token, workload.pods().values())), None) or secrets.token_hex(16)
    workload.ensure_pods(manifests(sites, workload.services(), image, token, agent), each=each)


def rest(client: Client) -> None:
    """Let them rest, so that they disturb no trial, or delete them where no request reaches them."""
    _tell(client, begins=True)


def rests(client: Client, sites: Sequence[Site]) -> bool:
    """Whether one of them rests, by its latest report."""
    return any(report.rests for report in _latest(client, sites))


def _tell(client: Client, *, begins: bool) -> None:
    """Tell those with an echo server, which the others ask; where one does not obey, delete all."""
    workload = Workload(client, PART)
    there = [pod for pod in workload.pods().values() if _SITE in pod["metadata"]["labels"]]
    if not all(resting.tell(pods.ip(pod), PORT, _token(pod) or "", begins=begins) for pod in there):
        workload.delete()


def _token(pod: Object) -> str | None:
    """The token of a pod that exists; None: it has none."""
    try:
        return Spec.parse(pod["spec"]["containers"][0]["command"][-1]).token
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def add_interfaces(client: Client, sites: Sequence[Site], image: str) -> None:
    """Start another pod in the pod network of each site, and delete it: the dataplane's agent prints what it sets up.

    Raises:
        Problem: one does not run; with the reason.
    """
    workload = Workload(client, ADDED)
    try:
        workload.delete()  # what an earlier call left, or else it would add none
        workload.ensure_pods([added_pod(site, image, index) for index, site in enumerate(sites)])
    finally:
        workload.delete(wait=False)


def added_pod(site: Site, image: str, index: int) -> Object:
    """A pod that does nothing, for its interface."""
    container = Container("idle", ("sleep", "infinity"))
    return pods.pod(f"{ADDED}-{index}", ADDED, site.node, [container], image, deadline_s=_ADDED_LIFE_S)


def manifests(
    sites: Sequence[Site], services: Mapping[str, Object], image: str, token: str, agent: Agent
) -> list[Object]:
    """The pods, once their Services have addresses."""
    return [
        pod(
            f"{PART}-{kind}-{index}",
            PART,
            spec(index, sites, services, token, agent if kind == "host" else None),
            image,
            labels={} if kind == "host" else {_SITE: str(index)},
            deadline_s=pods.LONGEST_RUN_S,
        )
        for index in range(len(sites))
        for kind in ("host", "pod")
    ]


def pod(
    name: str,
    part: str,
    spec: Spec,
    image: str,
    *,
    labels: Mapping[str, str],
    deadline_s: int,
    listens: int | None = None,
    requests: Mapping[str, str] = pods.REQUESTS,
) -> Object:
    """A pod of the node probe. `listens`: the port that makes it ready; None: it is ready when it runs."""
    argv = ("python", "-m", "steps.cluster.kube.probe.node_probe", spec.text())
    container = Container("probe", argv, listens, requests=requests)
    return pods.pod(
        name, part, spec.node, [container], image, host_network=spec.host, labels=labels, deadline_s=deadline_s
    )


def spec(index: int, sites: Sequence[Site], services: Mapping[str, Object], token: str, agent: Agent | None) -> Spec:
    """The work of a site's pod: it connects to the next site, so that connections cross nodes if there are two.

    `agent`: what the pod in the node's own network looks at; None: the pod is in the pod network.
    """
    site, other = sites[index], sites[(index + 1) % len(sites)]
    own, far = services[f"{PART}-{index}"], services[f"{PART}-{(index + 1) % len(sites)}"]
    where = site.node if agent is not None else f"a pod on {site.node}"
    cluster_ip = Target(f"ClusterIP from {where}", site.node, far["spec"]["clusterIP"], PORT)
    if agent is None:
        return Spec(site.node, site.address, False, token, (cluster_ip,), (cluster_ip,), echo=PORT)  # noqa: FBT003
    here = Target(f"own NodePort from {site.node}", site.node, site.address, node_port(far))
    there = Target(f"NodePort of {other.node} from {site.node}", other.node, other.address, node_port(own))
    return Spec(site.node, site.address, True, token, (cluster_ip, here, there), (cluster_ip, there), agent=agent)  # noqa: FBT003


def latest_reports(client: Client, sites: Sequence[Site]) -> dict[str, NodeReport]:
    """The latest reports, by node. A pod that does not exist, or has no report yet, is left out."""
    return by_node(_latest(client, sites), [site.node for site in sites])


def _latest(client: Client, sites: Sequence[Site]) -> list[ProbeReport]:
    names = [f"{PART}-{kind}-{index}" for index in range(len(sites)) for kind in ("host", "pod")]
    with ThreadPoolExecutor(len(names)) as pool:
        return [report for report in pool.map(partial(latest_report, client), names) if report is not None]


def latest_report(client: Client, pod: str) -> ProbeReport | None:
    """The latest report in a pod's log; None: there is none."""
    try:
        return parse(client.log(pod, BENCHMARK, tail_lines=2, timestamps=False, limit_bytes=_LONGEST_LOG_BYTES))
    except ApiError as error:
        if error.status == _NOT_STARTED:
            return None
        raise


def parse(log: bytes) -> ProbeReport | None:
    """The last complete report of a log; None: there is none."""
    for line in reversed(log.splitlines()):
        try:
            return ProbeReport.model_validate_json(line)
        except ValidationError:
            continue
    return None


def by_node(reported: Sequence[ProbeReport], nodes: Sequence[str]) -> dict[str, NodeReport]:
    """The reports by the nodes that they are about."""
    found = {}
    for node in nodes:
        own = [each for each in reported if each.node == node]
        found[node] = NodeReport(
            host=next((each.host for each in own if each.host), None),
            answers=tuple(answer for each in reported for answer in each.answers if answer.node == node),
            lines=tuple(line for each in own for line in each.lines),
        )
    return found


def sites(nodes: Iterable[ClusterNode], measured: Sequence[str]) -> list[Site]:
    """The measured nodes with their addresses.

    Raises:
        Problem: one has none.
    """
    addresses = {node.name: node.address for node in nodes}
    found = []
    for node in measured:
        address = addresses.get(node)
        if address is None:
            raise Problem(f"node {node} has no internal address: see `kubectl get node {node} -o wide`.")
        found.append(Site(node, address))
    return found


def total_cost(reports: Collection[NodeReport]) -> SwitchCost:
    """The cost on all nodes together."""
    lines = [line for report in reports for line in report.lines]
    return _cost(lines, [answer for report in reports for answer in report.answers])


def _of(lines: Iterable[ConnectionReport], protocol: str) -> list[ConnectionReport]:
    """The connections of a protocol that ever got a reply."""
    return [line for line in lines if line.protocol == protocol and line.received]


def _cost(lines: Sequence[ConnectionReport], answers: Sequence[ServiceProbe]) -> SwitchCost:
    tcp, udp = _of(lines, "tcp"), _of(lines, "udp")
    return SwitchCost(
        connections=len(tcp),
        # a silent connection counts as dropped unless it recovers while it is waited for
        dropped=sum(bool(line.dropped) or line.silent_s > _SILENT_S for line in tcp),
        tcp_longest_gap_s=max((line.longest_gap_s for line in tcp), default=None),
        udp_longest_gap_s=max((line.longest_gap_s for line in udp), default=None),
        udp_sent_packets=sum(line.sent for line in udp) if udp else None,
        # one may be on its way
        udp_lost_packets=sum(max(0, line.sent - line.received - 1) for line in udp) if udp else None,
        new_failed=sum(answer.failed_since_ok for answer in answers) if answers else None,
    )


def node_port(service: Object) -> int:
    """The node port of a Service for TCP."""
    ports: list[Object] = service["spec"]["ports"]
    return int(next(port["nodePort"] for port in ports if port.get("protocol", "TCP") == "TCP"))
