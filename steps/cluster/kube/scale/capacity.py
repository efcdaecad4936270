"""Whether a cluster can hold the largest scale of a run, what it costs the API server and etcd, and how long it takes.

Nothing is made: the range of the Services' addresses and its use are read, one object of each kind is tried by a dry
run, and the rest is counted.
"""

from collections.abc import Iterator, Sequence
from ipaddress import collapse_addresses, ip_network
from typing import Final

from analysis import formatting
from steps.catalogue.factors import Scale
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError, DeniedError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import (
    BENCHMARK,
    CLUSTER,
    ENDPOINTSLICES,
    NETWORK_POLICIES,
    SERVICE_ADDRESSES,
    SERVICE_RANGES,
    SERVICES,
    Resource,
)
from steps.cluster.kube.findings import stop, warn
from steps.cluster.kube.scale import objects
from steps.cluster.kube.scale.objects import Quantity
from steps.domain import Finding

SUBJECT: Final = "scale"

WRITES_PER_S: Final = (45.0, 150.0)
"""Objects that an API server of two shared cores made per second, while agents followed them on both nodes and this
client wrote there too: of 10,000 with kube-proxy in nftables mode 47, in iptables mode 125; of the first 1,000 160."""

_WORTH_SAYING: Final = 1_000
"""Objects below which a scale is nothing to an API server."""

_SERVICE_BYTES: Final = 1_300
_SLICE_BYTES: Final = 1_000
_ENDPOINT_BYTES: Final = 90
_POLICY_BYTES: Final = 900
"""Of one object in etcd, its managed fields and its address's own object included; measured by `etcdctl`."""

_VERSIONS: Final = 2
"""etcd keeps what was replaced until it is compacted, every five minutes, and its file does not shrink."""

_RESERVED: Final = 2
"""Addresses of a range that no Service gets: its own and, in IPv4, that of broadcasts."""

_OWN: Final = 20
"""Services that a run makes beside those of its scale: before its servers and probes, and to time changes."""


def findings(client: Client, scales: Sequence[Scale]) -> list[Finding]:
    """What speaks against the largest of these scales, and what it costs."""
    most = largest(scales)
    if not most.objects:
        return []
    return [*_addresses(client, most.services), *_costs(client, scales, most)]


def largest(scales: Sequence[Scale]) -> Quantity:
    """The most of each kind of object that any of these scales needs."""
    found = [Quantity.of(scale) for scale in scales]
    most = max(found, key=lambda each: (each.slices, each.services))
    return Quantity(max(each.services for each in found), most.endpoints, max(each.policies for each in found))


def samples(scales: Sequence[Scale]) -> list[tuple[Resource, Object]]:
    """One object of each kind that these scales need, for a dry run."""
    most, found = largest(scales), []
    if most.services:
        found = [(SERVICES, objects.service(1)), (ENDPOINTSLICES, next(objects.endpoint_slices(1, 1, 4)))]
    if most.policies:
        found += [(NETWORK_POLICIES, objects.admitting_policy())]
    return found


def quota_needs(scales: Sequence[Scale]) -> dict[str, float]:
    """What a ResourceQuota must allow for the largest of these scales, by its name there."""
    most = largest(scales)
    return {
        **dict.fromkeys(("services", "count/services"), float(most.services)),
        "count/endpointslices.discovery.k8s.io": float(most.slices),
        "count/networkpolicies.networking.k8s.io": float(most.policies + bool(most.policies)),
    }


def stored_bytes(quantity: Quantity) -> int:
    """What etcd keeps of these objects, about."""
    endpoints = quantity.services * quantity.endpoints
    return (
        quantity.services * _SERVICE_BYTES
        + quantity.slices * _SLICE_BYTES
        + endpoints * _ENDPOINT_BYTES
        + quantity.policies * _POLICY_BYTES
    )


def _addresses(client: Client, services: int) -> Iterator[Finding]:
    """Whether the Services find addresses, where the cluster tells its ranges (Kubernetes 1.33)."""
    try:
        found = [each for each in client.list(SERVICE_RANGES, CLUSTER) if "deletionTimestamp" not in each["metadata"]]
        ranges = [cidr for each in found for cidr in (each.get("spec") or {})["cidrs"]]
        used = client.count(SERVICE_ADDRESSES)
        there = len(client.metadata(SERVICES, BENCHMARK, labels=objects.SELECTOR))
    except (ApiError, DeniedError, KeyError):
        return  # the API server says it when the range is full
    if not ranges or used is None:
        return
    version = ip_network(ranges[0]).version
    # ranges may overlap
    merged = collapse_addresses([own for own in map(ip_network, ranges) if own.version == version])  # type: ignore[type-var]
    size = sum(each.num_addresses - _RESERVED for each in merged)
    free = size - used + there - _OWN
    if services > free:
        yield stop(
            f"the run needs {services:,} Services more, and of the {size:,} addresses in {', '.join(ranges)} "
            f"{max(0, free):,} are free, {_OWN} for other Services of the run left out.",
            f"Choose services={max(0, free)} or fewer, or give the cluster a further range: an object of kind "
            "ServiceCIDR, which the cluster's network must route like the first one.",
            SUBJECT,
        )


def _costs(client: Client, scales: Sequence[Scale], most: Quantity) -> Iterator[Finding]:
    """What is written, where it is much."""
    if most.objects < _WORTH_SAYING:
        return
    bytes_ = stored_bytes(most) * _VERSIONS
    endpoints = most.services * most.endpoints
    slow, fast = (formatting.duration(most.objects / rate) for rate in WRITES_PER_S)
    changes = ", and each change of the scale within a visit at most that" if len(scales) > 1 else ""
    yield warn(
        f"the run makes {most.services:,} Services, {most.slices:,} EndpointSlices with {endpoints:,} endpoints "
        f"and {most.policies:,} NetworkPolicies in namespace {client.namespace}: about {bytes_ / 1e6:,.0f} MB in etcd, "
        f"whose usual quota is 2 GB, and {fast} to {slow} at {WRITES_PER_S[1]:.0f} to {WRITES_PER_S[0]:.0f} writes "
        f"per second{changes}.",
        "They are removed at the end of the run, and by the guard if it does not come to its end.",
        SUBJECT,
    )
