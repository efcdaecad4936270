"""Read from a cluster all that decides how its dataplane is switched; reading only."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import (
    CALICO_GROUPS,
    CALICO_SYSTEM,
    CONFIGMAPS,
    CRD_GROUP,
    DAEMONSETS,
    DEFAULT,
    DEFINITIONS,
    ENDPOINTSLICES,
    INSTALLATION_DEFINITION,
    INSTALLATIONS,
    KUBE_PROXY,
    KUBE_SYSTEM,
    NODES,
    PODS,
    SERVICES_ENDPOINT,
    TIGERA_OPERATOR,
    V3_GROUP,
    cluster_informations,
    felix_configurations,
    ip_pools,
)
from steps.cluster.kube.calico import kube_proxy
from steps.cluster.kube.calico.dataplanes import further_fields
from steps.cluster.kube.calico.implementation import BPF, NFTABLES_MODE, SERVICE_MODE
from steps.cluster.kube.config import environment, proxy

Object = dict[str, Any]

SWITCHED: Final = (BPF, SERVICE_MODE, NFTABLES_MODE, *further_fields())
"""The fields of FelixConfiguration that decide the dataplane."""

AGENT_VARIABLES: Final = frozenset(
    f"FELIX_{name.upper()}" for name in (*SWITCHED, "logSeverityScreen", "awsSrcDstCheck", "bpfDSROptoutCIDRs")
)
"""What of calico-node's environment must be known."""

PROXY_CONFIG: Final = "kube-proxy-config"
"""What Amazon EKS calls the ConfigMap of kube-proxy's configuration."""

_OWN_PODS: Final = ("k8s-app=kube-proxy", "component=kube-proxy")
"""The labels of a kube-proxy that is no DaemonSet but a pod of each node, as kops and RKE2 run it."""
CALICO_NODE: Final = "calico-node"
"""What the container of Calico's agent is called, and its DaemonSet as a rule: Canal's is `canal` or `rke2-canal`."""

_AGENTS_IN: Final = frozenset({KUBE_SYSTEM, CALICO_SYSTEM})
"""The namespaces whose pods may be read."""


@dataclass(frozen=True, slots=True)
class ClusterObjects:
    """The objects as they were read; None is absent.

    `group` is the API group in which this cluster keeps Calico's configuration; None where there is no Calico.
    `kube_proxy_pods` and `api_endpoints` are only read for a switch. `config_maps`: others of kube-system that
    kube-proxy's command line or calico-node's environment names, by name.
    `agent_pods` are calico-node's; None: they are in a namespace that may not be read.
    """

    server_version: str | None = None
    group: str | None = None
    felix: tuple[Object, ...] = ()
    information: Object | None = None
    pools: tuple[Object, ...] = ()
    installation: Object | None = None
    definition: Object | None = None
    nodes: tuple[Object, ...] = ()
    daemon_sets: tuple[Object, ...] = ()
    kube_proxy_config: Object | None = None
    services_endpoints: dict[str, Object | None] = field(default_factory=dict)
    kube_proxy_pods: tuple[Object, ...] = ()
    api_endpoints: tuple[Object, ...] = ()
    config_maps: dict[str, Object | None] = field(default_factory=dict)
    agent_pods: tuple[Object, ...] | None = None

    @property
    def agent(self) -> Object | None:
        """The DaemonSet of Calico's agent."""
        return _agent(self.daemon_sets)

    def daemon_set(self, name: str, namespace: str | None = None) -> Object | None:
        """The DaemonSet of that name, in whatever namespace if none is given."""
        return next(
            (
                found
                for found in self.daemon_sets
                if found["metadata"]["name"] == name and namespace in {None, found["metadata"]["namespace"]}
            ),
            None,
        )

    @property
    def kube_proxy(self) -> Object | None:
        """kube-proxy's DaemonSet."""
        return self.daemon_set(KUBE_PROXY, KUBE_SYSTEM)

    @property
    def agent_environment(self) -> environment.Environment:
        """What Calico's agent is started with."""
        beside = self.agent is not None and self.agent["metadata"].get("namespace") == KUBE_SYSTEM
        return environment.read_environment(agent_containers(self.agent), self.known_config_maps if beside else {})

    @property
    def known_config_maps(self) -> dict[str, Object | None]:
        """The ConfigMaps of kube-system that were read, by name."""
        return {
            **self.config_maps,
            KUBE_PROXY: self.kube_proxy_config,
            SERVICES_ENDPOINT: self.services_endpoints.get(KUBE_SYSTEM),
        }

    @property
    def proxy_source(self) -> proxy.Source:
        """Where kube-proxy takes its mode from: its DaemonSet, or the pods of its name where there is none."""
        if self.kube_proxy is not None:
            return proxy.source(_template(self.kube_proxy))
        sources = {proxy.source(pod.get("spec")) for pod in self.kube_proxy_pods}
        return sources.pop() if len(sources) == 1 else proxy.Source(known=False)

    @property
    def felix_default(self) -> Object | None:
        """The FelixConfiguration that holds for all nodes."""
        return next((found for found in self.felix if found["metadata"]["name"] == DEFAULT), None)

    @property
    def api_servers(self) -> tuple[tuple[str, str], ...]:
        """The API server's addresses and ports that need no Service, for nodes without kube-proxy; empty: unknown.

        The one that an administrator already told Calico stands alone, such as a load balancer's.
        """
        for found in self.services_endpoints.values():
            data = (found or {}).get("data") or {}
            host, port = data.get("KUBERNETES_SERVICE_HOST"), data.get("KUBERNETES_SERVICE_PORT")
            if host and port:
                return ((host, port),)
        return tuple(
            sorted(
                (address, str(port["port"]))
                for found in self.api_endpoints
                for endpoint in found.get("endpoints") or []
                if (endpoint.get("conditions") or {}).get("ready") is not False
                for address in endpoint.get("addresses") or []
                for port in found.get("ports") or []
                if port.get("port") is not None  # a slice may name none, which stands for all
            )
        )


def read_objects(client: Client, *, to_switch: bool = False) -> ClusterObjects:
    """Read everything. `to_switch`: also what only a switch needs, and only its account may read.

    Raises:
        DeniedError: an object may not be read.
        ApiError: the API failed for good.
    """
    groups = client.groups()
    group = calico_group(client, groups)
    operator = INSTALLATIONS.group in groups
    daemon_sets = tuple(client.list(DAEMONSETS))
    own = next((d for d in daemon_sets if (_place(d)) == (KUBE_SYSTEM, KUBE_PROXY)), None)
    pods = client.list(PODS, KUBE_SYSTEM, labels=kube_proxy.selector(own)) if own and to_switch else []
    if own is None and to_switch:
        pods = [pod for labels in _OWN_PODS for pod in client.list(PODS, KUBE_SYSTEM, labels=labels)]
    config = client.get(CONFIGMAPS, KUBE_PROXY, KUBE_SYSTEM)
    others = _others(daemon_sets, own) | ({PROXY_CONFIG} if own and kube_proxy.config_key(config) is None else set())
    agent = _agent(daemon_sets)
    there = agent["metadata"]["namespace"] if agent is not None else None
    agents = client.list(PODS, there, labels=kube_proxy.selector(agent)) if agent and there in _AGENTS_IN else None
    places = (KUBE_SYSTEM, TIGERA_OPERATOR) if operator else (KUBE_SYSTEM,)
    return ClusterObjects(
        server_version=client.version(),
        group=group,
        felix=tuple(client.list(felix_configurations(group))) if group else (),
        information=client.get(cluster_informations(group), DEFAULT) if group else None,
        pools=tuple(client.list(ip_pools(group))) if group else (),
        installation=client.get(INSTALLATIONS, DEFAULT) if operator else None,
        definition=client.get(DEFINITIONS, INSTALLATION_DEFINITION) if operator else None,
        nodes=tuple(client.list(NODES)),
        daemon_sets=daemon_sets,
        agent_pods=tuple(agents) if agents is not None else None,
        kube_proxy_config=config,
        services_endpoints={place: client.get(CONFIGMAPS, SERVICES_ENDPOINT, place) for place in places},
        kube_proxy_pods=tuple(pods),
        api_endpoints=tuple(client.list(ENDPOINTSLICES, DEFAULT, labels="kubernetes.io/service-name=kubernetes"))
        if to_switch
        else (),
        config_maps={name: client.get(CONFIGMAPS, name, KUBE_SYSTEM) for name in sorted(others)},
    )


def _others(daemon_sets: tuple[Object, ...], own: Object | None) -> set[str]:
    """The ConfigMaps of kube-system beside the known ones that say how kube-proxy and calico-node are started."""
    agent = _agent(daemon_sets)
    beside = agent is not None and agent["metadata"]["namespace"] == KUBE_SYSTEM
    names = environment.needed_config_maps(agent_containers(agent), AGENT_VARIABLES) if beside else set()
    configured = proxy.source(_template(own)).config_map if own is not None else None
    return {*names, *([configured] if configured else [])} - {KUBE_PROXY, SERVICES_ENDPOINT}


def _template(daemon_set: Object) -> Object:
    return daemon_set.get("spec", {}).get("template", {}).get("spec") or {}


def agent_containers(daemon_set: Object | None) -> list[Object]:
    """The container of Calico's agent, without those that Canal has beside it; all where none has its name."""
    every = _template(daemon_set or {}).get("containers") or []
    return [each for each in every if each.get("name") == CALICO_NODE] or every


def calico_group(client: Client, groups: dict[str, str]) -> str | None:
    """The group that stores Calico's configuration.

    Where both are served, crd.projectcalico.org is the storage (the other is Calico's API server in front of it), but
    for a cluster in which it holds nothing: the definitions of a migrated cluster may be left behind empty.
    """
    served = [group for group in CALICO_GROUPS if group in groups]
    if served == [CRD_GROUP, V3_GROUP]:
        return CRD_GROUP if client.list(felix_configurations(CRD_GROUP)) else V3_GROUP
    return served[0] if served else None


def _agent(daemon_sets: Iterable[Object]) -> Object | None:
    """The DaemonSet that runs calico-node, whatever it is called; the operator's, where there are two."""

    def likelihood(each: Object) -> tuple[bool, bool]:
        return each["metadata"]["namespace"] == CALICO_SYSTEM, each["metadata"]["name"] == CALICO_NODE

    found = [
        each
        for each in daemon_sets
        if each["metadata"]["name"] == CALICO_NODE or any(c.get("name") == CALICO_NODE for c in agent_containers(each))
    ]
    return max(found, key=likelihood, default=None)


def _place(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]
