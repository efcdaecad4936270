"""The manifests of a cluster's scale: Services that nobody uses, their endpoints, and policies without a match. Pure.

The Services have no selector, and their EndpointSlices name addresses of the range for benchmarks (RFC 2544, and RFC
5180 for IPv6), where no pod is. The policies select the measured servers and admit connections from that range, where
none comes from. One more admits all, since a pod that a policy selects admits nothing else; by its name it is the last
that a connection is compared with, and it is the first that is made and the last that is removed.

An object's name says all that is in it, so that a change of the scale writes the difference only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from steps.catalogue.factors import Scale
from steps.catalogue.tools import CONNECTIVITY
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED, TRIALS, service_port

PART: Final = "scale"
PROGRAMMING: Final = "programming"
"""The part whose objects are made and changed to learn how late the nodes follow."""

SELECTOR: Final = f"{NAME}={NAMED},{LABEL}={PART}"
"""All objects of the scale, whatever it is."""

OF_PROGRAMMING: Final = f"{NAME}={NAMED},{LABEL}={PROGRAMMING}"
"""All objects of the part programming."""

ALL: Final = f"{NAME}={NAMED},{LABEL} in ({PART},{PROGRAMMING})"
"""All objects of both parts."""

SERVICE_OF: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
BATCH: Final = "dataplane-benchmark/batch"
"""The label by which many objects are removed in one call."""

IN_A_BATCH: Final = 50
"""Objects of a batch: each call makes the API server read all objects of its kind, and `api_load.REMOVED_AT_ONCE` calls
end within 30 s even where an API server of two busy cores deletes 20 Services per second."""

IN_A_SLICE: Final = 100
"""Endpoints of an EndpointSlice, as Kubernetes' own controller divides them."""

ADMITS: Final = f"{PART}-admit-all"
RANGES: Final = {4: ip_network("198.18.0.0/15"), 6: ip_network("2001:2::/48")}
"""Where the endpoints are, by the version of IP."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """So many objects: Services, endpoints of each, and policies."""

    services: int = 0
    endpoints: int = 1
    policies: int = 0

    @classmethod
    def of(cls, scale: Scale) -> "Quantity":
        """Those of a scale."""
        return cls(scale.services, scale.endpoints, scale.policies)

    @property
    def slices(self) -> int:
        """EndpointSlices of all Services."""
        return self.services * -(-self.endpoints // IN_A_SLICE)

    @property
    def objects(self) -> int:
        """All that is written."""
        return self.services + self.slices + self.policies + bool(self.policies)


def name_of(index: int) -> str:
    """Of the Service, or of the policy, with this number, from 1."""
    return f"{PART}-{index:05d}"


def service(index: int) -> Object:
    """The Service with this number."""
    ports = [service_port("connect", CONNECTIVITY.port)]
    return {"metadata": _metadata(name_of(index), index), "spec": {"type": "ClusterIP", "ports": ports}}


def slice_names(index: int, endpoints: int) -> Iterator[str]:
    """Of the EndpointSlices of the Service with this number, if it has so many endpoints."""
    for first in range(0, endpoints, IN_A_SLICE):
        yield f"{name_of(index)}-{endpoints}-{first // IN_A_SLICE}"


def endpoint_slices(index: int, endpoints: int, version: int) -> Iterator[Object]:
    """The EndpointSlices of the Service with this number. `version`: of IP, 4 or 6."""
    for number, name in enumerate(slice_names(index, endpoints)):
        first = number * IN_A_SLICE
        wanted = range(first, min(endpoints, first + IN_A_SLICE))
        addresses = [address((index - 1) * endpoints + each, version) for each in wanted]
        metadata = _metadata(name, index, service_labels(name_of(index)))
        yield endpoint_slice(metadata, addresses, version, ("connect", CONNECTIVITY.port))


def service_labels(service: str) -> dict[str, str]:
    """The labels of an EndpointSlice that Kubernetes' own controller leaves alone."""
    return {SERVICE_OF: service, MANAGED_BY: NAMED}


def endpoint_slice(metadata: Object, addresses: Sequence[str], version: int, port: tuple[str, int]) -> Object:
    """An EndpointSlice of ready endpoints. `version`: of IP. `port`: its name and number, by TCP."""
    return {
        "metadata": metadata,
        "addressType": f"IPv{version}",
        "endpoints": [endpoint(each) for each in addresses],
        "ports": [{"name": port[0], "protocol": "TCP", "port": port[1]}],
    }


def endpoint(own_address: str) -> Object:
    """One endpoint of an EndpointSlice, which is ready."""
    return {"addresses": [own_address], "conditions": {"ready": True, "serving": True, "terminating": False}}


def address(number: int, version: int) -> str:
    """The address of the endpoint with this number; they repeat, in different Services, after 131,070."""
    usable = 2**17 - 2
    return str(ip_address(int(RANGES[version].network_address) + 1 + number % usable))


def policy(index: int, version: int) -> Object:
    """The policy with this number: it admits connections from one address of the range. `version`: of IP, 4 or 6."""
    source = {"ipBlock": {"cidr": str(ip_network(address(index, version)))}}
    return _policy(_metadata(name_of(index), index), {"from": [source]})


def admitting_policy() -> Object:
    """The policy that admits all traffic to the measured pods, beside the others."""
    return _policy({"name": ADMITS, "labels": {NAME: NAMED, LABEL: PART}}, {})


def _policy(metadata: Object, rule: Object) -> Object:
    selector = {"matchLabels": {LABEL: TRIALS}}  # the measured servers
    return {"metadata": metadata, "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [rule]}}


def _metadata(name: str, index: int, labels: Object | None = None) -> Object:
    return {"name": name, "labels": {NAME: NAMED, LABEL: PART, BATCH: str((index - 1) // IN_A_BATCH), **(labels or {})}}
