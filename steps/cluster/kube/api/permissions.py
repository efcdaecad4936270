"""Every call of this project to a cluster's API, in one table: the verb, the kind, the place, and the account.

The client refuses any other call, preflight checks each entry on the cluster, and RBAC is rendered from the table, so
that the three agree.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["switch", "observe"]
"""The account. switch: configure, retreat, restore and preflight, which may patch Calico. observe: all other callers.

Measuring steps have no account, since they make no calls.
"""

BENCHMARK: Final = "(benchmark)"
"""Stands for the namespace of the benchmark's own pods, whatever its name."""

CLUSTER: Final = None
"""Stands for no namespace: an object of the cluster, or all namespaces together."""

STATE: Final = "dataplane-benchmark"
"""The ConfigMap in kube-system that is a run's lock and has its snapshot; a cluster has at most one."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object. `group`: empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As in manifests: `v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def kubectl(self) -> str:
        """The name of the kind for kubectl, with the group if another group has the same."""
        return f"{self.plural}.{self.group}" if "." in self.group else self.plural


PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = Resource("", "v1", "nodes", "Node")
SERVICES: Final = Resource("", "v1", "services", "Service")
CONFIGMAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
DAEMONSETS: Final = Resource("apps", "v1", "daemonsets", "DaemonSet")
ENDPOINTSLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
ACCESS_REVIEWS: Final = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")
DEFINITIONS: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
INSTALLATIONS: Final = Resource("operator.tigera.io", "v1", "installations", "Installation")
TIGERA_STATUSES: Final = Resource("operator.tigera.io", "v1", "tigerastatuses", "TigeraStatus")
QUOTAS: Final = Resource("", "v1", "resourcequotas", "ResourceQuota")
WORKFLOWS: Final = Resource("argoproj.io", "v1alpha1", "workflows", "Workflow")

CRD_GROUP: Final = "crd.projectcalico.org"
V3_GROUP: Final = "projectcalico.org"
CALICO_GROUPS: Final = {CRD_GROUP: "v1", V3_GROUP: "v3"}
"""The groups of Calico's configuration, and the version of each."""


def _calico(plural: str, kind: str) -> dict[str, Resource]:
    return {group: Resource(group, version, plural, kind) for group, version in CALICO_GROUPS.items()}


FELIX_CONFIGURATIONS: Final = _calico("felixconfigurations", "FelixConfiguration")
CLUSTER_INFORMATIONS: Final = _calico("clusterinformations", "ClusterInformation")
IP_POOLS: Final = _calico("ippools", "IPPool")
"""Kinds of Calico's configuration, by the group that a cluster uses."""

_NETWORKING: Final = "networking.k8s.io"
NETWORK_POLICIES: Final = Resource(_NETWORKING, "v1", "networkpolicies", "NetworkPolicy")
SERVICE_RANGES: Final = Resource(_NETWORKING, "v1", "servicecidrs", "ServiceCIDR")
SERVICE_ADDRESSES: Final = Resource(_NETWORKING, "v1", "ipaddresses", "IPAddress")
"""Of Services: one object for each address in use. Like the ranges' they exist since Kubernetes 1.33."""

_ADMIN: Final = "policy.networking.k8s.io"
POLICIES: Final[tuple[tuple[Resource, str | None], ...]] = (
    (NETWORK_POLICIES, BENCHMARK),
    *((resource, BENCHMARK) for resource in _calico("networkpolicies", "NetworkPolicy").values()),
    *((resource, CLUSTER) for resource in _calico("globalnetworkpolicies", "GlobalNetworkPolicy").values()),
    (Resource(_ADMIN, "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy"), CLUSTER),
    (Resource(_ADMIN, "v1alpha1", "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy"), CLUSTER),
    (Resource(_ADMIN, "v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy"), CLUSTER),
)
"""The kinds of network policy that may apply to the benchmark's pods, and their namespace.

They are read only to name the reason of a failed connection: a run works without.
"""


@dataclass(frozen=True, slots=True)
class Permission:
    """One verb on one kind of object in one namespace. `names`: of the objects; empty: any."""

    verb: str
    resource: Resource
    namespace: str | None
    roles: frozenset[Role]
    names: tuple[str, ...] = ()
    subresource: str = ""

    @property
    def plural(self) -> str:
        """As in RBAC: `pods` or `pods/log`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural

    def covers(self, verb: str, resource: Resource, namespace: str | None, name: str, subresource: str) -> bool:
        """Whether it allows this call. An entry with names allows no call without a name."""
        return (
            self.verb == verb
            and (self.resource.group, self.resource.plural) == (resource.group, resource.plural)
            and self.namespace == namespace
            and self.subresource == subresource
            and (not self.names or name in self.names)
        )


_BOTH: Final = frozenset[Role]({"switch", "observe"})
_SWITCH: Final = frozenset[Role]({"switch"})

KUBE_SYSTEM: Final = "kube-system"
CALICO_SYSTEM: Final = "calico-system"
TIGERA_OPERATOR: Final = "tigera-operator"
SERVICES_ENDPOINT: Final = "kubernetes-services-endpoint"
KUBE_PROXY: Final = "kube-proxy"
DEFAULT: Final = "default"
INSTALLATION_DEFINITION: Final = "installations.operator.tigera.io"


def _each(
    verbs: str,
    resource: Resource,
    namespace: str | None,
    roles: frozenset[Role],
    names: tuple[str, ...] = (),
    subresource: str = "",
) -> Iterator[Permission]:
    for verb in verbs.split():
        yield Permission(verb, resource, namespace, roles, names, subresource)


def _table() -> Iterator[Permission]:
    for group in CALICO_GROUPS:
        yield from _each("list", FELIX_CONFIGURATIONS[group], CLUSTER, _BOTH)
        yield from _each("get patch", FELIX_CONFIGURATIONS[group], CLUSTER, _SWITCH, (DEFAULT,))
        yield from _each("get", CLUSTER_INFORMATIONS[group], CLUSTER, _BOTH, (DEFAULT,))
        yield from _each("list", IP_POOLS[group], CLUSTER, _BOTH)
    yield from _each("get", INSTALLATIONS, CLUSTER, _BOTH, (DEFAULT,))
    yield from _each("patch", INSTALLATIONS, CLUSTER, _SWITCH, (DEFAULT,))
    yield from _each("get", TIGERA_STATUSES, CLUSTER, _SWITCH, ("calico",))
    yield from _each("get", DEFINITIONS, CLUSTER, _BOTH, (INSTALLATION_DEFINITION,))
    yield from _each("create", ACCESS_REVIEWS, CLUSTER, _SWITCH)
    yield from _each("list", NODES, CLUSTER, _BOTH)
    yield from _each("list", DAEMONSETS, CLUSTER, _BOTH)
    yield from _each("watch", DAEMONSETS, CLUSTER, _SWITCH)
    yield from _each("list", ENDPOINTSLICES, DEFAULT, _SWITCH)
    yield from _each("get patch", DAEMONSETS, KUBE_SYSTEM, _SWITCH, (KUBE_PROXY,))
    # kube-proxy's configuration, and what calico-node's environment is made of, have names of each cluster's own
    yield from _each("get", CONFIGMAPS, KUBE_SYSTEM, _BOTH)
    yield from _each("patch", CONFIGMAPS, KUBE_SYSTEM, _SWITCH, (KUBE_PROXY, STATE))
    yield from _each("create", CONFIGMAPS, KUBE_SYSTEM, _SWITCH)
    yield from _each("delete", CONFIGMAPS, KUBE_SYSTEM, _SWITCH, (SERVICES_ENDPOINT, STATE))
    yield from _each("list delete", PODS, KUBE_SYSTEM, _BOTH)
    yield from _each("watch", PODS, KUBE_SYSTEM, _SWITCH)
    yield from _each("get", PODS, KUBE_SYSTEM, _BOTH, subresource="log")
    yield from _each("list delete", PODS, CALICO_SYSTEM, _BOTH)
    yield from _each("get", PODS, CALICO_SYSTEM, _BOTH, subresource="log")
    yield from _each("get", CONFIGMAPS, TIGERA_OPERATOR, _BOTH, (SERVICES_ENDPOINT,))
    yield from _each("create", CONFIGMAPS, TIGERA_OPERATOR, _SWITCH)
    yield from _each("delete", CONFIGMAPS, TIGERA_OPERATOR, _SWITCH, (SERVICES_ENDPOINT,))
    yield from _each("get", WORKFLOWS, BENCHMARK, _SWITCH)
    yield from _each("list watch create delete", PODS, BENCHMARK, _BOTH)
    yield from _each("get", PODS, BENCHMARK, _BOTH, subresource="log")
    yield from _each("list create delete", SERVICES, BENCHMARK, _BOTH)
    yield from _each("deletecollection", SERVICES, BENCHMARK, _SWITCH)
    yield from _each("list create delete deletecollection patch", ENDPOINTSLICES, BENCHMARK, _SWITCH)
    yield from _each("list create delete deletecollection", NETWORK_POLICIES, BENCHMARK, _SWITCH)
    yield from _each("list", SERVICE_RANGES, CLUSTER, _SWITCH)
    yield from _each("list", SERVICE_ADDRESSES, CLUSTER, _SWITCH)
    yield from _each("list", QUOTAS, BENCHMARK, _SWITCH)
    for resource, namespace in POLICIES[1:]:
        yield from _each("list", resource, namespace, _SWITCH)


PERMISSIONS: Final[tuple[Permission, ...]] = tuple(_table())


def covered(verb: str, resource: Resource, namespace: str | None, name: str, subresource: str) -> bool:
    """Whether the table allows this call. `namespace`: BENCHMARK for the benchmark's own."""
    return any(entry.covers(verb, resource, namespace, name, subresource) for entry in PERMISSIONS)


OPERATOR_NAMESPACES: Final = frozenset({CALICO_SYSTEM, TIGERA_OPERATOR})
"""They exist only where the operator installed Calico."""

_OPERATOR: Final = "operator.tigera.io"
_CUSTOM: Final = frozenset({*CALICO_GROUPS, _OPERATOR, WORKFLOWS.group, _ADMIN})
_ONLY_TO_EXPLAIN: Final = frozenset({QUOTAS, SERVICE_RANGES, SERVICE_ADDRESSES, *(kind for kind, _ in POLICIES[1:])})
"""Kinds that are read to name a reason, or to warn: a run works without."""


def is_needed(entry: Permission) -> bool:
    """Whether a run needs it."""
    return entry.resource not in _ONLY_TO_EXPLAIN


def relevant(entries: Iterable[Permission], groups: Container[str]) -> list[Permission]:
    """The entries that apply to a cluster with these API groups."""
    return [
        entry
        for entry in entries
        if (entry.resource.group not in _CUSTOM or entry.resource.group in groups)
        and (entry.namespace not in OPERATOR_NAMESPACES or _OPERATOR in groups)
        and (entry.resource != DEFINITIONS or _OPERATOR in groups)
    ]
