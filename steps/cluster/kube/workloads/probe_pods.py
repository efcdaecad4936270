"""The pods that look at the measured nodes from within, for as long as a switch takes; and what they last said.

On each node one in the node's own network and one in the pod network. They connect to each other through Services and
node ports, so that they show whose rules are missing, and what a switch costs long-lived connections.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.api.permissions import BENCHMARK
from steps.cluster.kube.probe.connections import Target
from steps.cluster.kube.probe.node_probe import Spec
from steps.cluster.kube.probe.report import HostProbe, ServiceProbe
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads.manifests import Container
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import SwitchCost

Object = dict[str, Any]

PART: Final = "look"
PORT: Final = 5204
_SILENT_S: Final = 2.0
_SITE: Final = "dataplane-benchmark/site"


@dataclass(frozen=True, slots=True)
class Site:
    """A node that is looked at."""

    node: str
    address: str


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What the pods of one node last said.

    `uplink`: the interface with the node's address, and its MTU. `cost`: of what has happened since the pods came.
    `silent`: connections that may yet die, or live.
    """

    host: HostProbe | None
    uplink: str | None
    uplink_mtu_bytes: int | None
    answers: tuple[ServiceProbe, ...]
    cost: SwitchCost
    silent: int


def start(client: Client, sites: Sequence[Site], image: str) -> None:
    """Have the pods and their Services, and wait until they run. What is there already stays.

    Raises:
        Problem: one does not come to run; with the reason.
    """
    workload = Workload(client, PART)
    for index in range(len(sites)):
        name = f"{PART}-{index}"
        workload.ensure_services(
            pods.service(name, PART, name, {_SITE: str(index)}, pods.tcp_and_udp("echo", PORT), "NodePort")
        )
    services = workload.services()
    workload.ensure_pods(manifests(sites, services, image))


def stop(client: Client) -> None:
    """Take them away. Safe to run twice."""
    Workload(client, PART).delete()


def manifests(sites: Sequence[Site], services: Mapping[str, Object], image: str) -> list[Object]:
    """The pods, once their Services have addresses."""
    return [
        pods.pod(
            f"{PART}-{'host' if host else 'pod'}-{index}",
            PART,
            f"{PART}-{'host' if host else 'pod'}",
            site.node,
            [
                Container(
                    "look",
                    ("python", "-m", "steps.cluster.kube.probe.node_probe", spec(index, sites, services, host).text()),
                )
            ],
            image,
            host_network=host,
            labels={} if host else {_SITE: str(index)},
        )
        for index, site in enumerate(sites)
        for host in (True, False)
    ]


def spec(index: int, sites: Sequence[Site], services: Mapping[str, Object], host: bool) -> Spec:  # noqa: FBT001 - which of two
    """What the pod of a site does: reach the next site, so that every connection crosses nodes where there are two."""
    site, other = sites[index], sites[(index + 1) % len(sites)]
    own, far = services[f"{PART}-{index}"], services[f"{PART}-{(index + 1) % len(sites)}"]
    where = site.node if host else f"a pod on {site.node}"
    cluster_ip = Target(f"ClusterIP from {where}", site.node, far["spec"]["clusterIP"], PORT)
    if not host:
        return Spec(site.node, site.address, host=False, targets=(cluster_ip,), lines=(cluster_ip,), echo=PORT)
    here = Target(f"own NodePort from {site.node}", site.node, site.address, node_port(far))
    there = Target(f"NodePort of {other.node} from {site.node}", other.node, other.address, node_port(own))
    return Spec(site.node, site.address, host=True, targets=(cluster_ip, here, there), lines=(cluster_ip, there))


def latest_reports(client: Client, sites: Sequence[Site]) -> dict[str, NodeReport]:
    """What the pods said last, by node. A pod that is not there, or has said nothing yet, is passed over."""
    reported = []
    for index in range(len(sites)):
        for kind in ("host", "pod"):
            log = client.log(f"{PART}-{kind}-{index}", BENCHMARK, tail_lines=2, timestamps=False)
            reported.append(parse(log))
    return by_node([each for each in reported if each is not None], [site.node for site in sites])


def parse(log: bytes) -> Object | None:
    """The last whole line of a pod's log; None if there is none."""
    for line in reversed(log.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "answers" in found:
            return found
    return None


def by_node(reported: Sequence[Object], nodes: Sequence[str]) -> dict[str, NodeReport]:
    """What was said, sorted to the nodes that it is about."""
    found = {}
    for node in nodes:
        own = [each for each in reported if each["node"] == node]
        host = next((each["host"] for each in own if each["host"]), None)
        answers = tuple(_answer(a) for each in reported for a in each["answers"] if a["node"] == node)
        lines = [line for each in own for line in each["lines"]]
        found[node] = NodeReport(
            host=_host(host) if host else None,
            uplink=host["uplink"] if host else None,
            uplink_mtu_bytes=host.get("uplink_mtu_bytes") if host else None,
            answers=answers,
            cost=_cost(lines),
            silent=sum(line["silent_s"] > _SILENT_S for line in _of(lines, "tcp")),
        )
    return found


def sites(nodes: Iterable[ClusterNode], measured: Sequence[str]) -> list[Site]:
    """The measured ones of a cluster's nodes, with their addresses.

    Raises:
        Problem: one has none.
    """
    addresses = {node.name: node.address for node in nodes}
    found = []
    for node in measured:
        address = addresses.get(node)
        if address is None:
            raise Problem(f"node {node} has no internal address: look at `kubectl get node {node} -o wide`.")
        found.append(Site(node, address))
    return found


def total(costs: Iterable[SwitchCost]) -> SwitchCost:
    """What it cost on all nodes together."""
    each = list(costs)

    def most(gaps: Iterable[float | None]) -> float | None:
        return max((gap for gap in gaps if gap is not None), default=None)

    def add(counts: Iterable[int | None]) -> int | None:
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    return SwitchCost(
        connections=sum(cost.connections for cost in each),
        dropped=sum(cost.dropped for cost in each),
        tcp_longest_gap_s=most(cost.tcp_longest_gap_s for cost in each),
        udp_longest_gap_s=most(cost.udp_longest_gap_s for cost in each),
        udp_sent_packets=add(cost.udp_sent_packets for cost in each),
        udp_lost_packets=add(cost.udp_lost_packets for cost in each),
    )


def _of(lines: Iterable[Object], protocol: str) -> list[Object]:
    """The lines of a protocol that anything ever came back on."""
    return [line for line in lines if line["protocol"] == protocol and line["received"]]


def _cost(lines: Sequence[Object]) -> SwitchCost:
    tcp, udp = _of(lines, "tcp"), _of(lines, "udp")
    gone = _SILENT_S  # what is silent for longer counts for dead, unless it is waited for and lives
    return SwitchCost(
        connections=len(tcp),
        dropped=sum(bool(line["dropped"]) or line["silent_s"] > gone for line in tcp),
        tcp_longest_gap_s=max((line["longest_gap_s"] for line in tcp), default=None),
        udp_longest_gap_s=max((line["longest_gap_s"] for line in udp), default=None),
        udp_sent_packets=sum(line["sent"] for line in udp) if udp else None,
        # one may be on its way
        udp_lost_packets=sum(max(0, line["sent"] - line["received"] - 1) for line in udp) if udp else None,
    )


def node_port(service: Object) -> int:
    """The number of a Service's node port by TCP."""
    ports: list[Object] = service["spec"]["ports"]
    return int(next(port["nodePort"] for port in ports if port.get("protocol", "TCP") == "TCP"))


def _host(reported: Object) -> HostProbe:
    return HostProbe(
        at=datetime.fromisoformat(reported["at"]),
        interfaces=frozenset(reported["interfaces"]) if reported["interfaces"] is not None else None,
        vxlan_external=reported["vxlan_external"],
        proxy_mode=reported["proxy_mode"],
        felix_ready=reported["felix_ready"],
        felix_started_at=_time(reported["felix_started_at"]),
        felix_answered_at=_time(reported.get("felix_answered_at")),
    )


def _answer(reported: Object) -> ServiceProbe:
    times = {name: _time(reported.get(name)) for name in ("since", "ok_at", "failed_at")}
    return ServiceProbe(reported["node"], reported["name"], error=reported["error"], **times)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
