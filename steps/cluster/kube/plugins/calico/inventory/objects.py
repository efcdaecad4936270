"""Read every object that decides how a cluster's dataplane is switched."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import (
    CALICO_GROUPS,
    CALICO_SYSTEM,
    CLUSTER_INFORMATIONS,
    CONFIGMAPS,
    CRD_GROUP,
    DAEMONSETS,
    DEFAULT,
    DEFINITIONS,
    ENDPOINTSLICES,
    FELIX_CONFIGURATIONS,
    INSTALLATION_DEFINITION,
    INSTALLATIONS,
    IP_POOLS,
    KUBE_PROXY,
    KUBE_SYSTEM,
    NODES,
    PODS,
    SERVICES_ENDPOINT,
    TIGERA_OPERATOR,
    V3_GROUP,
)
from steps.cluster.kube.config import proxy
from steps.cluster.kube.plugins.calico.dataplanes import further_fields
from steps.cluster.kube.plugins.calico.implementation import BPF, NFTABLES_MODE, SERVICE_MODE
from steps.cluster.kube.plugins.calico.inventory import environment, kube_proxy

SWITCHED: Final = (BPF, SERVICE_MODE, NFTABLES_MODE, *further_fields())
"""The fields of FelixConfiguration that decide the dataplane."""

AGENT_VARIABLES: Final = frozenset(
    f"FELIX_{name.upper()}" for name in (*SWITCHED, "logSeverityScreen", "awsSrcDstCheck", "bpfDSROptoutCIDRs")
)
"""The variables of calico-node's environment that a switch depends on."""

PROXY_CONFIG: Final = "kube-proxy-config"
"""The ConfigMap of kube-proxy's configuration on Amazon EKS."""

_STATIC_PODS: Final = ("k8s-app=kube-proxy", "component=kube-proxy")
"""The labels of a kube-proxy that runs as a static pod on each node, as with kops and RKE2."""

CALICO_NODE: Final = "calico-node"
"""The container of Calico's agent, and usually its DaemonSet; Canal's is `canal` or `rke2-canal`."""

_READABLE_NAMESPACES: Final = frozenset({KUBE_SYSTEM, CALICO_SYSTEM})
"""The namespaces whose pods may be read."""


@dataclass(frozen=True, slots=True)
class ClusterObjects:
    """The objects as they were read; None is absent.

    Attributes:
        group: the API group that stores Calico's configuration; None where there is no Calico.
        services_endpoints: the ConfigMaps kubernetes-services-endpoint, by namespace.
        kube_proxy_pods: read only to switch.
        api_endpoints: the EndpointSlices of the API server, read only to switch.
        config_maps: others of kube-system that kube-proxy's command line or calico-node's environment uses, by name.
        agent_pods: calico-node's; None: they are in a namespace that these credentials may not read.
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
        """The DaemonSet of that name; in any namespace if none is given."""
        return find_daemon_set(self.daemon_sets, name, namespace)

    @property
    def kube_proxy(self) -> Object | None:
        """kube-proxy's DaemonSet."""
        return self.daemon_set(KUBE_PROXY, KUBE_SYSTEM)

    @property
    def agent_environment(self) -> environment.ContainerEnvironment:
        """The environment of Calico's agent."""
        agent = self.agent
        in_kube_system = agent is not None and agent["metadata"].get("namespace") == KUBE_SYSTEM
        return environment.read_environment(agent_containers(agent), self.known_config_maps if in_kube_system else {})

    @property
    def known_config_maps(self) -> dict[str, Object | None]:
        """The ConfigMaps of kube-system that were read, by name."""
        return {
            **self.config_maps,
            KUBE_PROXY: self.kube_proxy_config,
            SERVICES_ENDPOINT: self.services_endpoints.get(KUBE_SYSTEM),
        }

    @property
    def proxy_source(self) -> proxy.ProxyModeSource:
        """Where kube-proxy takes its mode from: its DaemonSet's command line, else that of its static pods."""
        if self.kube_proxy is not None:
            return proxy.source(_pod_spec(self.kube_proxy))
        sources = {proxy.source(pod.get("spec")) for pod in self.kube_proxy_pods}
        return sources.pop() if len(sources) == 1 else proxy.ProxyModeSource(known=False)

    @property
    def felix_default(self) -> Object | None:
        """The FelixConfiguration of all nodes."""
        return next((found for found in self.felix if found["metadata"]["name"] == DEFAULT), None)

    @property
    def api_servers(self) -> tuple[tuple[str, str], ...]:
        """The API server's addresses and ports, to be used by nodes without kube-proxy; empty: unknown.

        One that an administrator has configured already, such as a load balancer's, is the only one.
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
                if port.get("port") is not None  # a slice without a port stands for all ports
            )
        )


def read_objects(client: Client, *, to_switch: bool = False) -> ClusterObjects:
    """Read everything. `to_switch`: also what only the switching account may read.

    Raises:
        DeniedError: these credentials may not read an object.
        ApiError: the API failed permanently.
    """
    groups = client.groups()
    group = calico_group(client, groups)
    operator = INSTALLATIONS.group in groups
    daemon_sets = tuple(client.list(DAEMONSETS))
    proxy_set, agent = find_daemon_set(daemon_sets, KUBE_PROXY, KUBE_SYSTEM), _agent(daemon_sets)
    proxy_labels = _STATIC_PODS if proxy_set is None else (kube_proxy.selector(proxy_set),)
    config = client.get(CONFIGMAPS, KUBE_PROXY, KUBE_SYSTEM)
    others = _other_config_maps(agent, proxy_set)
    if proxy_set is not None and kube_proxy.config_key(config) is None:
        others |= {PROXY_CONFIG}
    agent_namespace = agent["metadata"]["namespace"] if agent is not None else None
    agent_pods = None
    if agent is not None and agent_namespace in _READABLE_NAMESPACES:
        agent_pods = tuple(client.list(PODS, agent_namespace, labels=kube_proxy.selector(agent)))
    api_labels = "kubernetes.io/service-name=kubernetes"
    return ClusterObjects(
        server_version=client.version(),
        group=group,
        felix=tuple(client.list(FELIX_CONFIGURATIONS[group])) if group else (),
        information=client.get(CLUSTER_INFORMATIONS[group], DEFAULT) if group else None,
        pools=tuple(client.list(IP_POOLS[group])) if group else (),
        installation=client.get(INSTALLATIONS, DEFAULT) if operator else None,
        definition=client.get(DEFINITIONS, INSTALLATION_DEFINITION) if operator else None,
        nodes=tuple(client.list(NODES)),
        daemon_sets=daemon_sets,
        agent_pods=agent_pods,
        kube_proxy_config=config,
        services_endpoints={
            namespace: client.get(CONFIGMAPS, SERVICES_ENDPOINT, namespace)
            for namespace in (KUBE_SYSTEM, *((TIGERA_OPERATOR,) if operator else ()))
        },
        kube_proxy_pods=tuple(
            pod for labels in proxy_labels if to_switch for pod in client.list(PODS, KUBE_SYSTEM, labels=labels)
        ),
        api_endpoints=tuple(client.list(ENDPOINTSLICES, DEFAULT, labels=api_labels)) if to_switch else (),
        config_maps={name: client.get(CONFIGMAPS, name, KUBE_SYSTEM) for name in sorted(others)},
    )


def _other_config_maps(agent: Object | None, proxy_set: Object | None) -> set[str]:
    """The further ConfigMaps of kube-system that calico-node's environment or kube-proxy's command line refers to."""
    names: set[str] = set()
    if agent is not None and agent["metadata"]["namespace"] == KUBE_SYSTEM:
        names |= environment.needed_config_maps(agent_containers(agent), AGENT_VARIABLES)
    if proxy_set is not None and (configured := proxy.source(_pod_spec(proxy_set)).config_map):
        names |= {configured}
    return names - {KUBE_PROXY, SERVICES_ENDPOINT}


def find_daemon_set(daemon_sets: Iterable[Object], name: str, namespace: str | None) -> Object | None:
    """The one of that name among these; in any namespace if none is given."""
    return next(
        (
            found
            for found in daemon_sets
            if found["metadata"]["name"] == name and namespace in {None, found["metadata"]["namespace"]}
        ),
        None,
    )


def _pod_spec(daemon_set: Object) -> Object:
    return daemon_set.get("spec", {}).get("template", {}).get("spec") or {}


def agent_containers(daemon_set: Object | None) -> list[Object]:
    """The container of Calico's agent, without Canal's others; all containers where none has its name."""
    every = _pod_spec(daemon_set or {}).get("containers") or []
    return [each for each in every if each.get("name") == CALICO_NODE] or every


def calico_group(client: Client, groups: dict[str, str]) -> str | None:
    """The API group that stores Calico's configuration.

    Where both are served, crd.projectcalico.org is the storage and the other is Calico's API server in front of it;
    but on a migrated cluster the former may be served and empty.
    """
    served = [group for group in CALICO_GROUPS if group in groups]
    if served == [CRD_GROUP, V3_GROUP]:
        return CRD_GROUP if client.list(FELIX_CONFIGURATIONS[CRD_GROUP]) else V3_GROUP
    return served[0] if served else None


def _agent(daemon_sets: Iterable[Object]) -> Object | None:
    """The DaemonSet that runs calico-node under any name; the operator's, where there are two."""

    def likelihood(each: Object) -> tuple[bool, bool]:
        return each["metadata"]["namespace"] == CALICO_SYSTEM, each["metadata"]["name"] == CALICO_NODE

    found = [
        each
        for each in daemon_sets
        if each["metadata"]["name"] == CALICO_NODE or any(c.get("name") == CALICO_NODE for c in agent_containers(each))
    ]
    return max(found, key=likelihood, default=None)
