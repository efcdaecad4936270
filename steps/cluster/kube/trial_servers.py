"""The servers of a visit's trials, how each topology's client reaches them, and what makes a topology unavailable."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from analysis.errors import Problem, Unsupported
from steps.catalogue.options import Settings
from steps.catalogue.tools import CANARY, CONNECTIVITY, served
from steps.catalogue.topologies import BY_NAME, CONTROL, TOPOLOGIES, Topology
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.nodes import ClusterNode, url_host
from steps.cluster.kube.cni import Standing
from steps.cluster.kube.workloads import admission, connectivity, filler_services, probe_pods, step_pods, visit_pods
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads.manifests import TRIALS, Container
from steps.cluster.kube.workloads.workload import AlteredError, Workload
from steps.domain import Finding, Monitor, Placement, Visit
from steps.settings.environment import IMAGE, OUTSIDE
from steps.tools.tool import Tool

Object = dict[str, Any]

MONITOR_PORT: Final = 5203

SERVICE: Final = "trials"
_SERVER: Final = "server"
ALWAYS: Final = served(())
"""The tools whose servers every visit needs."""

_HOST_SERVER: Final = "server-host"
_NEAR: Final = "-near"
"""Ends the names of servers on the client's node."""

_SERVES: Final = {"dataplane-benchmark/serves": SERVICE}
_NO_OUTSIDE: Final = (
    "there is no client outside: every ready Linux node is Calico's, and only traffic from elsewhere can show it"
)


def prepare(
    client: Client,
    standing: Standing,
    measured: Sequence[str],
    visit: Visit,
    settings: Settings,
    *,
    variables: Mapping[str, str] = os.environ,
) -> list[Placement]:
    """Have new servers and their Service, reachable, for the visit's topologies and for the canary.

    The pods that looked at the switch are taken away first: nothing of ours runs beside a trial but servers and
    counters. New pods after each switch: their interfaces, connections and MTU are the present dataplane's.

    Raises:
        Unsupported: no image, or no client outside.
        AlteredError: something was added to the pods of steps, or to ours.
        Problem: a server is not ready, or does not answer; with the reason.
    """
    image = pods.image(variables)
    steps = step_pods.pods_of_run(client, variables)
    if unlike := step_pods.altered_pods(steps):
        raise AlteredError(f"{client.where}: {step_pods.alteration_sentence(unlike)}. {step_pods.remedy(client)}")
    wanted = needed_topologies(visit)
    outside = outside_node(standing, variables) if any(t.client == "outside" for t in wanted) else None
    if outside is None and any(t.client == "outside" for t in wanted):
        raise Unsupported(f"{_NO_OUTSIDE}. {_outside_remedy()}")
    places = probe_pods.sites(standing.nodes, measured)
    uplinks = {
        node: (seen.uplink, seen.uplink_mtu_bytes) for node, seen in probe_pods.latest_reports(client, places).items()
    }
    workload = Workload(client, TRIALS)
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(
                lambda stop: stop(), (lambda: probe_pods.stop(client), lambda: workload.delete(keep_services=True))
            )
        )
    tools = served(trial.tool for trial in visit.trials)
    workload.ensure_services(service(tools))
    address = workload.services()[SERVICE]
    ensure_filler_services(client, standing, measured, settings, variables=variables)
    running = workload.ensure_pods([*manifests(wanted, places, image, tools)])
    found = placements(wanted, places, address, {p["metadata"]["name"]: p for p in running}, outside, uplinks, tools)
    timeout_s = connectivity.REACH_S + settings.services / filler_services.ENDPOINTS_PER_S
    connectivity.wait(client, found, image, timeout_s, step_pods.requests(steps))
    return found


def ensure_filler_services(
    client: Client,
    standing: Standing,
    measured: Sequence[str],
    settings: Settings,
    *,
    variables: Mapping[str, str] = os.environ,
) -> None:
    """Have the run's many Services, with a pod behind them on the server's node. Safe to run twice.

    Raises:
        Unsupported: no image.
        Problem: the pod is not ready, or there are no addresses for so many; with the reason.
    """
    if settings.services:
        place = probe_pods.sites(standing.nodes, measured)[-1]
        filler_services.ensure_services(client, settings.services, place.node, pods.image(variables), CONNECTIVITY.port)


def clear(client: Client, *, wait: bool = False) -> None:
    """Take away what prepare and observe brought, but for the many Services, which stay for the next visit.

    Safe to run twice.

    Args:
        client: of the cluster.
        wait: until all is gone. Otherwise the next step waits, as seconds of every visit are not for waiting.
    """
    parts = [TRIALS, probe_pods.PART, connectivity.REACH, connectivity.CHECK, connectivity.OUTSIDE]
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: Workload(client, part).delete(wait=wait), parts))


def needed_topologies(visit: Visit) -> list[Topology]:
    """The visit's topologies, and the canary's."""
    asked = {trial.topology for trial in visit.trials} | {CONTROL}
    return [topology for topology in TOPOLOGIES if topology.name in asked]


def outside_node(standing: Standing, variables: Mapping[str, str]) -> ClusterNode | None:
    """The node of the client outside: the one that a person named, or the first that Calico doesn't manage.

    Raises:
        Unsupported: the named one can't be it.
    """
    fit = nodes.outside_nodes(standing.nodes)
    name = variables.get(OUTSIDE, "").strip()
    if not name:
        return min(fit, key=lambda node: node.name, default=None)
    for node in fit:
        if node.name == name:
            return node
    known = name in {node.name for node in standing.nodes}
    reason = "is no ready Linux node without Calico" if known else "is no node of the cluster"
    others = ", ".join(node.name for node in fit) or "none: there is no such node here"
    raise Unsupported(f"{OUTSIDE} names {name}, which {reason}: name one of {others}.")


def findings(
    client: Client,
    standing: Standing,
    chosen: Sequence[str],
    settings: Settings,
    *,
    variables: Mapping[str, str] = os.environ,
) -> list[Finding]:
    """Why the servers, or a topology's client, are unavailable; tried with pods that are taken away again."""
    asked = {cell.topology for cell in settings.cells}
    found = step_pods.findings(client, variables)
    try:
        outside = outside_node(standing, variables)
    except Unsupported as error:
        remedy = f"Type `kubectl get nodes`, and set {OUTSIDE} to one without Calico, or to nothing."
        return [Finding(severity="stop", subject="outside", reason=str(error), remedy=remedy)]
    if outside is None:
        found += [
            Finding(severity="skip", subject=name, reason=_NO_OUTSIDE, remedy=_outside_remedy())
            for name in sorted(asked)
            if BY_NAME[name].client == "outside"
        ]
    else:
        found += standing.outside_findings(outside, chosen[0], settings)
    try:
        image = pods.image(variables)
        places = probe_pods.sites(standing.nodes, chosen)
    except Problem as error:
        remedy = f"Set `{IMAGE}=NAME:TAG`, and look at `kubectl get nodes -o wide`."
        return [*found, Finding(severity="stop", subject="pods", reason=str(error), remedy=remedy)]
    wanted = outside is not None and any(BY_NAME[name].client == "outside" for name in asked)
    beyond = probe_pods.sites(standing.nodes, [outside.name])[0] if outside is not None and wanted else None
    paths = [topology for topology in TOPOLOGIES if topology.name in {*asked, CONTROL}]
    at_once = visit_pods.at_once(manifests(paths, places, image), paths, places, image, settings)
    kinds = [service(), *([filler_services.manifest(1, CONNECTIVITY.port)] if settings.services else [])]
    refused = admission.findings(client, at_once, kinds, settings, running=step_pods.pods_of_run(client, variables))
    if refused:
        return found + refused  # trying them for real would find the same
    in_pods = any(BY_NAME[name].client == "pod" or BY_NAME[name].target != "node-address" for name in asked)
    return found + connectivity.findings(client, places, image, CANARY.port, beyond, in_pods=in_pods)


def service(tools: Sequence[Tool] = ALWAYS) -> Object:
    """The Service before the server: ClusterIP and NodePort, with a port for each transport of each tool."""
    ports = [port for tool in tools for port in _service_ports(tool)]
    return pods.service(SERVICE, TRIALS, SERVICE, _SERVES, ports, "NodePort")


def _service_ports(tool: Tool) -> list[Object]:
    if "udp" in tool.transports:
        return pods.tcp_and_udp(tool.label, tool.port)
    return [{"name": tool.label, "protocol": "TCP", "port": tool.port, "targetPort": tool.port}]


def manifests(
    wanted: Sequence[Topology], places: Sequence[probe_pods.Site], image: str, tools: Sequence[Tool] = ALWAYS
) -> list[Object]:
    """The pods: a server for each kind of network with a container for each tool, and the monitors of both nodes."""
    near, far = places[0].node, places[-1].node
    servers = [Container(tool.label, tuple(tool.server(tool.port)), tool.port, forever=True) for tool in tools]
    made: list[Object] = []
    for name in dict.fromkeys(_server(t) for t in (BY_NAME[CONTROL], *wanted)):
        node, on_host = near if name.endswith(_NEAR) else far, name.startswith(_HOST_SERVER)
        labels = _SERVES if name == _SERVER else {}
        made.append(pods.pod(name, TRIALS, name, node, servers, image, host_network=on_host, labels=labels))
    monitor = [
        Container(
            "monitor", ("python", "-m", "steps.measurement.monitor_http", "serve", str(MONITOR_PORT)), MONITOR_PORT
        )
    ]
    for index, place in enumerate(places):
        made.append(pods.pod(f"monitor-{index}", TRIALS, "monitor", place.node, monitor, image))
        if any(t.client == "outside" for t in wanted):
            on_node = pods.pod(
                f"monitor-host-{index}", TRIALS, "monitor-host", place.node, monitor, image, host_network=True
            )
            made.append(on_node)
    return made


def _server(topology: Topology) -> str:
    """The pod that serves a topology: by its target, whatever the client is."""
    return (_HOST_SERVER if topology.server == "node" else _SERVER) + (_NEAR if topology.same_node else "")


def placements(
    wanted: Sequence[Topology],
    places: Sequence[probe_pods.Site],
    found: Object,
    running: Mapping[str, Object],
    outside: ClusterNode | None,
    uplinks: Mapping[str, tuple[str | None, int | None]],
    tools: Sequence[Tool] = ALWAYS,
) -> list[Placement]:
    """How the client of each topology reaches its server.

    Args:
        wanted: the topologies.
        places: the client's node and the server's.
        found: the Service, as the cluster has it.
        running: the pods, as the cluster has them, by name.
        outside: the node of the client outside, if there is one.
        uplinks: the interface with each node's address, and its MTU, where they are known.
        tools: whose servers there are.
    """
    return [_placement(topology, places, found, running, outside, uplinks, tools) for topology in wanted]


def _placement(
    topology: Topology,
    places: Sequence[probe_pods.Site],
    found: Object,
    running: Mapping[str, Object],
    outside: ClusterNode | None,
    uplinks: Mapping[str, tuple[str | None, int | None]],
    tools: Sequence[Tool],
) -> Placement:
    near, far = places[0], places[-1]
    from_outside = topology.client == "outside"
    unknown: tuple[str | None, int | None] = (None, None)
    uplink, far_mtu_bytes = uplinks.get(near.node, unknown)[0], uplinks.get(far.node, unknown)[1]
    to_node = topology.target == "node-address"
    address, ports = near.address, {tool.name: tool.port for tool in tools}
    if to_node:
        address = near.address if topology.same_node else far.address
    elif topology.target == "pod-address":
        address = pods.ip(running[_server(topology)])
    elif topology.target == "service":
        address = found["spec"]["clusterIP"]
    else:
        ports = node_ports(found, tools)
    # A client outside has no way into the pod network, so it reads the counters at the nodes' own addresses.
    kind = "monitor-host" if from_outside else "monitor"
    source = {
        place.node: f"http://{url_host(pods.ip(running[f'{kind}-{index}']))}:{MONITOR_PORT}/"
        for index, place in enumerate(places)
    }
    nat = Monitor(node=near.node, side="nat", source=source[near.node])
    at_server = nat.model_copy(update={"node": far.node, "side": "server", "source": source[far.node]})
    monitors: tuple[Monitor, ...] = (nat.model_copy(update={"side": "client"}), at_server)
    if topology.same_node:
        monitors = (nat.model_copy(update={"side": "both"}),)
    elif from_outside:
        monitors = (nat, at_server) if topology.through_node else (at_server,)
    return Placement(
        topology=topology.name,
        client_node=outside.name if from_outside and outside is not None else near.node,
        host_network=topology.client != "pod",
        address=address,
        ports=ports,
        interface={"pod": "eth0", "node": uplink, "outside": None}[topology.client],
        # the monitor is a pod there like the server, but for a client outside, which asks one in the node's network
        server_interface=None if to_node or from_outside else "eth0",
        server_mtu_bytes=far_mtu_bytes if to_node else None,
        monitors=monitors,
        nat_monitor=nat if topology.through_node else None,
        nat_interface=uplink if topology.through_node else None,
    )


def node_ports(found: Object, tools: Sequence[Tool] = ALWAYS) -> dict[str, int]:
    """The node port of each tool's server, which is the same by TCP and UDP, by the tool's name.

    Raises:
        Problem: a tool has none, or TCP and UDP got different ones.
    """
    given = {port["name"]: port.get("nodePort") for port in found["spec"]["ports"]}
    by_tool = {tool: {name: given.get(name) for name in (p["name"] for p in _service_ports(tool))} for tool in tools}
    for tool, numbers in by_tool.items():
        if None in numbers.values() or len(set(numbers.values())) > 1:
            said = " and ".join(f"{number} for {name}" for name, number in numbers.items())
            raise Problem(
                f"Service {found['metadata']['name']} has node ports {said}, and {tool.name} needs one number for all "
                "of its transports: delete the Service and run it again."
            )
    return {tool.name: int(next(iter(numbers.values())) or 0) for tool, numbers in by_tool.items()}


def _outside_remedy() -> str:
    return (
        f"No command mends that: add a node without calico-node and name it in {OUTSIDE}, or leave out "
        "external-to-nodeport."
    )
