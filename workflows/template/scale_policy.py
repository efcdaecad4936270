"""The admission policies for Services, EndpointSlices and NetworkPolicies, of which the benchmark makes its scale.

A Service can take another's address or lead to another's pods; an EndpointSlice can lead those who reach a Service from
outside the cluster to any address, past network policies; a NetworkPolicy can cut pods off.
"""

from collections.abc import Iterable
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.scale.objects import MANAGED_BY, PART, PROGRAMMING, RANGES, SERVICE_OF
from steps.cluster.kube.workloads.manifests import LABEL, NAMED
from workflows.template.policies import BY_ACCOUNT, LABELLED, Rule, build_policy, on

SERVICES: Final = "dataplane-benchmark-services"
ENDPOINT_SLICES: Final = "dataplane-benchmark-endpointslices"
NETWORK_POLICIES: Final = "dataplane-benchmark-networkpolicies"

_OWN_KEY: Final = f"key.startsWith('{LABEL.partition('/')[0]}/')"
_NAMED_SO: Final = f"^({PART}|{PROGRAMMING})-"
"""The names of Services without a selector."""

_IN_THE_RANGES: Final = "^(198[.]1[89][.][0-9.]+|2001:2:(0:[0-9a-f:]+|:[0-9a-f:]*))$"
"""The addresses of RANGES as text: CEL's cidr() is younger than the policies are."""

_FEW: Final = 1
"""Endpoints of a Service whose address is that of a pod."""


def build_scale_policies() -> Iterable[tuple[Object, Object]]:
    """A policy for each of the three kinds."""
    yield build_policy(SERVICES, [on("CREATE DELETE", "services")], {"ours": BY_ACCOUNT}, {}, _services())
    yield build_policy(
        ENDPOINT_SLICES,
        [on("CREATE UPDATE DELETE", "endpointslices", "discovery.k8s.io")],
        {"ours": BY_ACCOUNT},
        {},
        _endpoint_slices(),
    )
    yield build_policy(
        NETWORK_POLICIES,
        [on("CREATE DELETE", "networkpolicies", "networking.k8s.io")],
        {"ours": BY_ACCOUNT},
        {},
        _network_policies(),
    )


def _own(kind: str) -> Rule:
    """They write and delete what has their label, before and after."""
    before = f"request.operation == 'CREATE' || ({LABELLED.format('oldObject')})"
    after = f"request.operation == 'DELETE' || ({LABELLED.format('object')})"
    return Rule(f"({before}) && ({after})", f"the benchmark's accounts create, change and delete its own {kind} only")


def _services() -> Iterable[Rule]:
    yield _own("Services")
    yield Rule(
        "request.operation == 'DELETE' || (!has(object.spec.externalIPs) && !has(object.spec.loadBalancerIP) "
        f"&& (object.metadata.name.matches('{_NAMED_SO}') ? object.spec.type == 'ClusterIP' "
        "&& (!has(object.spec.selector) || object.spec.selector.size() == 0) "
        ": (object.spec.type in ['ClusterIP', 'NodePort'] "
        "|| object.spec.type == 'LoadBalancer' && !has(object.metadata.annotations)) "
        "&& has(object.spec.selector) && object.spec.selector.size() > 0 "
        f"&& object.spec.selector.all(key, {_OWN_KEY})))",
        "the benchmark's Services select its own pods, or none if they are of its scale, and ask for no external "
        "address of their own choice",
    )


def _endpoint_slices() -> Iterable[Rule]:
    yield _own("EndpointSlices")
    labels = "object.metadata.labels"
    yield Rule(
        f"request.operation == 'DELETE' || ('{MANAGED_BY}' in {labels} && {labels}['{MANAGED_BY}'] == '{NAMED}' "
        f"&& '{SERVICE_OF}' in {labels} && {labels}['{SERVICE_OF}'].matches('{_NAMED_SO}'))",
        "the benchmark's EndpointSlices are of the Services of its scale, which are reached from the cluster only",
    )
    yield Rule(
        f"request.operation == 'DELETE' || !has(object.endpoints) || dyn(object.endpoints) == null "
        f"|| ({labels}['{SERVICE_OF}'].startsWith('{PART}-') "
        f"? object.endpoints.all(e, e.addresses.all(a, a.matches('{_IN_THE_RANGES}'))) "
        f": object.endpoints.size() <= {_FEW})",
        f"the endpoints of the benchmark's unused Services are in {' or '.join(map(str, RANGES.values()))}, where no "
        "pod is",
    )


def _network_policies() -> Iterable[Rule]:
    yield _own("NetworkPolicies")
    labels = "object.spec.podSelector.matchLabels"
    yield Rule(
        f"request.operation == 'DELETE' || (has({labels}) && {labels}.size() > 0 && {labels}.all(key, {_OWN_KEY}))",
        "the benchmark's NetworkPolicies select its own pods only",
    )
