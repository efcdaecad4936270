"""The servers of a visit's trials, and the monitors of both nodes."""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from analysis.errors import Problem, Unsupported
from steps.catalogue.options import Settings
from steps.catalogue.tools import served
from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE, TOPOLOGIES, Topology, TopologyTarget
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.cni import CniState
from steps.cluster.kube.scale import programming_pods
from steps.cluster.kube.servers import monitors, outside_client
from steps.cluster.kube.servers.placements import (
    ALWAYS,
    BALANCED,
    HOST_SERVER,
    LOCAL,
    NEAR,
    OUTSIDE_SERVER,
    SERVER,
    Uplink,
    VisitServers,
    balanced_address,
    server_name,
    service_ports,
    turns_url,
)
from steps.cluster.kube.workloads import connectivity, probe_pods, step_pods
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads.manifests import (
    LONGEST_RUN_S,
    NODE_MONITORS,
    SERVER_MEMORY_LIMIT,
    TRIALS,
    Container,
)
from steps.cluster.kube.workloads.workload import AlteredError, Workload
from steps.domain import Placement, Visit
from steps.measurement.first_contact import MOST_SERVICES, reach_s
from steps.polling import poll
from steps.settings import turn_order
from steps.tools.tool import MONITOR_PORT, Tool

SERVICE: Final = "trials"
TURNS: Final = "turns"
_SERVES: Final = {"dataplane-benchmark/serves": SERVICE}
_SERVES_TURNS: Final = {"dataplane-benchmark/serves": TURNS}
_VISIT: Final = "dataplane-benchmark/visit"
_TURNS_POD: Final = "monitor-0"
_POLL_S: Final = 0.5
_ADDRESS_S: Final = 30.0
"""How long a load balancer's address is waited for, which takes MetalLB and Calico a second."""

_REPORT_S: Final = 30.0
"""How long a report of the probe pods is waited for: they start before the switch, and report each second."""
_SLACK_S: Final = 2 * 3600
"""The servers' life beyond all turns of their visit."""


def prepare(
    client: Client,
    standing: CniState,
    measured: Sequence[str],
    visit: Visit,
    settings: Settings,
    *,
    variables: Mapping[str, str] = os.environ,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Placement]:
    """Create servers and their Service for the visit's topologies and the canary, and wait until all have addresses.

    Each visit gets new pods, whose interfaces, connections and MTU are those of the present dataplane; only monitors
    in the nodes' own networks stay. Programs start while the clients' pods do; `await_ready` waits for them.
    `meanwhile`: called while the pods get their addresses.

    Raises:
        Unsupported: no image, or no client outside.
        AlteredError: something was added to the pods of steps, or to these.
        Problem: a server can't start, or does not answer where there are many Services; with the reason.
    """
    image = pods.image(variables)
    steps = step_pods.pods_of_run(client, variables)
    if unlike := step_pods.altered_pods(steps):
        raise AlteredError(f"{client.where}: {step_pods.alteration_sentence(unlike)}. {step_pods.remedy(client)}")
    wanted = needed_topologies(visit)
    outside = None
    if any(topology.needs_outside for topology in wanted):
        outside = outside_client.outside_node(standing.nodes, variables)
        if outside is None:
            raise Unsupported(f"{outside_client.UNAVAILABLE}. {outside_client.REMEDY}")
    places = probe_pods.sites(standing.nodes, measured)
    uplinks = _uplinks(client, places)
    workload = Workload(client, TRIALS)
    workload.delete(keep_services=True)
    tools = served(trial.tool for trial in visit.trials)
    others = other_services(wanted, tools)
    workload.ensure_services(service(tools), turns_service(), *others.values())
    token = secrets.token_hex(16)
    beyond = probe_pods.sites(standing.nodes, [outside.name])[0] if outside is not None else None
    made = manifests(wanted, places, image, tools, deadline_s(visit, settings), token, visit.visit, beyond)
    stays = monitors.ensure_on_nodes(client, places, image) if monitors.are_needed_on_nodes(wanted) else {}
    started = workload.ensure_pods(made, is_up=pods.has_address, meanwhile=meanwhile)
    named = stays | {pod["metadata"]["name"]: pod for pod in started}
    services = workload.services()
    if BALANCED in others:
        services[f"{SERVICE}-{BALANCED}"] = await_address(client, TRIALS, f"{SERVICE}-{BALANCED}")
    servers = VisitServers(
        places,
        services[SERVICE],
        services[TURNS],
        named,
        outside,
        uplinks,
        tools,
        token,
        {target: services[manifest["metadata"]["name"]] for target, manifest in others.items()},
    )
    found = [servers.placement(topology) for topology in wanted]
    if settings.services > MOST_SERVICES:  # fewer have their endpoints while each measuring step waits for its server
        connectivity.wait(client, found, image, reach_s(settings.services), step_pods.requests(steps))
    return found


def turns(client: Client, visit: Visit) -> str | None:
    """The server of the visit's turns, for a client in the cluster; None: there is none. It may yet have to start."""
    workload = Workload(client, TRIALS)
    pod = _turns_pod(workload)
    if pod is None or pod["metadata"]["labels"].get(_VISIT) != str(visit.visit):
        return None
    token, service = pods.token_of(pod), workload.services().get(TURNS)
    return None if service is None or token is None else turns_url(service, token)


def serve_another(client: Client, visit: Visit) -> bool:
    """Whether the servers are another visit's, which is measured, or was not cleared."""
    pod = _turns_pod(Workload(client, TRIALS))
    return pod is not None and pod["metadata"]["labels"].get(_VISIT) != str(visit.visit)


def _turns_pod(workload: Workload) -> Object | None:
    pod = workload.pods().get(_TURNS_POD)
    return None if pod is None or pod["metadata"].get("deletionTimestamp") else pod


def await_ready(client: Client, visit: Visit) -> None:
    """Wait until the servers and monitors of a visit are ready, all of which are there once there is one of turns.

    Raises:
        Problem: one is not ready in time, or can't be; with the reason.
    """
    Workload(client, TRIALS).await_ready()
    if monitors.are_needed_on_nodes(needed_topologies(visit)):
        Workload(client, NODE_MONITORS).await_ready()


def _uplinks(client: Client, places: Sequence[probe_pods.Site]) -> dict[str, Uplink]:
    """The interface with each node's address, and its MTU, where a probe pod reports them in time."""

    def look() -> dict[str, Uplink]:
        reports = probe_pods.latest_reports(client, places)
        return {n: (r.host.uplink, r.host.uplink_mtu_bytes) for n, r in reports.items() if r.host is not None}

    if not Workload(client, probe_pods.PART).pods():
        return {}
    return poll(look, lambda found: len(found) == len(places), pause_s=_POLL_S, timeout_s=_REPORT_S)


def deadline_s(visit: Visit, settings: Settings) -> int:
    """The longest life of the visit's servers: more than its measuring steps may take."""
    return _SLACK_S + round(turn_order.longest_s(visit, settings.omit_s, settings.idle_s, settings.environment))


def clear(client: Client) -> None:
    """Delete the pods of one visit. Their Services, the nodes' monitors and the cluster's scale stay for the next.

    Safe to run twice, and waits for nothing: the next visit does.
    """
    _delete(client, (TRIALS, connectivity.REACH, *programming_pods.PARTS), keep_services=True, wait=False)


def clear_all(client: Client) -> None:
    """Delete everything that prepare, observe and preflight created, except the cluster's scale, and wait for it."""
    checks = (connectivity.REACH, connectivity.CHECK, connectivity.OUTSIDE)
    parts = (TRIALS, NODE_MONITORS, probe_pods.PART, probe_pods.ADDED, *checks, *programming_pods.PARTS)
    _delete(client, parts, keep_services=False, wait=True)


def _delete(client: Client, parts: Sequence[str], *, keep_services: bool, wait: bool) -> None:
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: Workload(client, part).delete(keep_services=keep_services, wait=wait), parts))


def needed_topologies(visit: Visit) -> list[Topology]:
    """The visit's topologies, and the canary's."""
    names = {trial.topology for trial in visit.trials} | {NODE_TO_NODE}
    return [topology for topology in TOPOLOGIES if topology.name in names]


def service(tools: Sequence[Tool] = ALWAYS) -> Object:
    """The Service before the server: ClusterIP and NodePort, with a port for each transport of each tool."""
    ports = [port for tool in tools for port in service_ports(tool)]
    return pods.service(SERVICE, TRIALS, _SERVES, ports, "NodePort")


def other_services(wanted: Sequence[Topology], tools: Sequence[Tool] = ALWAYS) -> dict[TopologyTarget, Object]:
    """The further Services before the server that these topologies need, by their target."""
    made: dict[TopologyTarget, Object] = {}
    for target in dict.fromkeys(topology.target for topology in wanted if topology.target in {LOCAL, BALANCED}):
        manifest = service(tools)
        manifest["metadata"]["name"] = f"{SERVICE}-{target}"
        manifest["spec"] |= {"externalTrafficPolicy": "Local"} if target == LOCAL else {"type": "LoadBalancer"}
        made[target] = manifest
    return made


def await_address(client: Client, part: str, name: str) -> Object:
    """A Service of type LoadBalancer once it has an address.

    Raises:
        Problem: the cluster gives it none in time.
    """
    workload = Workload(client, part)
    found = poll(
        lambda: workload.services().get(name, {}),
        lambda each: balanced_address(each) is not None,
        pause_s=_POLL_S,
        timeout_s=_ADDRESS_S,
    )
    if balanced_address(found) is None:
        raise Problem(
            f"Service {name} of type LoadBalancer got no IP address in {_ADDRESS_S:g} s: this cluster hands none out."
        )
    return found


def turns_service() -> Object:
    """The Service before the server of turns, which a client outside reaches by a NodePort like a trial's server."""
    return pods.service(TURNS, TRIALS, _SERVES_TURNS, [pods.service_port(TURNS, MONITOR_PORT)], "NodePort")


def manifests(
    wanted: Sequence[Topology],
    places: Sequence[probe_pods.Site],
    image: str,
    tools: Sequence[Tool] = ALWAYS,
    deadline_s: int = LONGEST_RUN_S,
    token: str = "",
    visit: int = 0,
    outside: probe_pods.Site | None = None,
) -> list[Object]:
    """The pods: a server for each kind of network with a container for each tool, and monitors of both nodes.

    `token`: that the monitors demand; empty: none, for a dry run. `visit`: the number of the visit that they serve.
    `outside`: the node outside of the cluster's network, whose server is left out where there is none.
    """
    near, far = places[0], places[-1]
    pod = partial(pods.pod, part=TRIALS, image_name=image, deadline_s=deadline_s)
    made: list[Object] = []
    for name in dict.fromkeys(server_name(topology) for topology in (BY_NAME[NODE_TO_NODE], *wanted)):
        place, on_host = near if name.endswith(NEAR) else far, name.startswith(HOST_SERVER)
        if name == OUTSIDE_SERVER:
            if outside is None:
                continue
            place, on_host = outside, True
        servers = [_server(tool, place.address if on_host else None) for tool in tools]
        labels = _SERVES if name == SERVER else {}
        made.append(pod(name, node=place.node, containers=servers, host_network=on_host, labels=labels))
    for index, place in enumerate(places):
        name = f"{monitors.MONITOR}-{index}"
        labels = {**_SERVES_TURNS, _VISIT: str(visit)} if name == _TURNS_POD else {}
        made.append(pod(name, node=place.node, containers=[monitors.container(token)], labels=labels))
    return sorted(made, key=lambda each: each["metadata"]["name"] == _TURNS_POD)  # last: see `await_ready`


def _server(tool: Tool, address: str | None) -> Container:
    """A tool's server. `address`: of the node, if the pod is in its network: it listens there only."""
    argv = [*tool.server(tool.port)]
    if address is not None and tool.bind is not None:
        argv += [*tool.bind, address]
    return Container(tool.label, tuple(argv), tool.port, forever=True, memory_limit=SERVER_MEMORY_LIMIT)
