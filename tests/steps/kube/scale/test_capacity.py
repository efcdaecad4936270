"""What preflight says of the largest scale of a run."""

import pytest

from steps.catalogue.factors import Scale
from steps.cluster.kube.scale import capacity
from steps.cluster.kube.scale.objects import Quantity
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import Calico

RANGES = "servicecidrs"
USED = "ipaddresses"
GROUP = "networking.k8s.io"


def cluster(*ranges: str, used: int = 0) -> Calico:
    calico = Calico()
    calico.store.serve(GROUP, "v1", RANGES, "ServiceCIDR")
    calico.store.serve(GROUP, "v1", USED, "IPAddress")
    for number, cidr in enumerate(ranges):
        calico.store.put(GROUP, RANGES, {"metadata": {"name": f"range-{number}"}, "spec": {"cidrs": [cidr]}})
    for number in range(used):
        calico.store.put(GROUP, USED, {"metadata": {"name": f"10.97.0.{number}"}})
    return calico


def reasons(calico: Calico, *scales: Scale) -> list[tuple[str, str]]:
    client, _direct = direct_client(calico.store)
    return [(found.severity, found.sentence) for found in capacity.findings(client, scales)]


def test_services_beyond_the_range_are_refused_with_the_most_that_fit() -> None:
    calico = cluster("10.97.0.0/24", used=50)
    assert reasons(calico, Scale(), Scale(services=184)) == []
    ((severity, sentence),) = reasons(calico, Scale(services=185))
    assert severity == "stop"
    assert "needs 185 Services more, and of the 254 addresses in 10.97.0.0/24 184 are free" in sentence
    assert "Choose services=184 or fewer" in sentence


def test_capacity_counts_a_further_range_and_what_an_earlier_run_left() -> None:
    assert reasons(cluster("10.97.0.0/24", "10.98.0.0/24", used=50), Scale(services=400)) == []
    calico = cluster("10.97.0.0/24", used=250)
    labels = {"app.kubernetes.io/name": "dataplane-benchmark", "dataplane-benchmark/part": "scale"}
    for number in range(100):
        metadata = {"name": f"scale-{number}", "namespace": NAMESPACE, "labels": labels}
        calico.store.put("", "services", {"metadata": metadata, "spec": {"type": "ClusterIP", "ports": []}})
    assert reasons(calico, Scale(services=84)) == [], "they are removed or used again"


def test_ranges_that_overlap_or_are_being_deleted_count_once_or_not_at_all() -> None:
    calico = cluster("10.97.0.0/24", "10.97.0.0/25")
    ((_, sentence),) = reasons(calico, Scale(services=300))
    assert "of the 254 addresses" in sentence
    going = {"name": "range-9", "deletionTimestamp": "2026-11-27T00:00:00Z", "finalizers": ["f"]}
    calico.store.put(GROUP, RANGES, {"metadata": going, "spec": {"cidrs": ["10.98.0.0/16"]}})
    assert reasons(calico, Scale(services=300)) == [("stop", sentence)]


@pytest.mark.parametrize("is_denied", [True, False])
def test_unknown_service_range_is_no_finding(*, is_denied: bool) -> None:
    calico = cluster("10.97.0.0/30") if is_denied else Calico()
    calico.store.denied = lambda request: request.plural in {RANGES, USED}
    assert reasons(calico, Scale(services=400)) == []


def test_cost_of_a_scale_is_a_warning_of_preflight() -> None:
    scales = (Scale(), Scale(services=5_000, endpoints=50), Scale(services=1_000, endpoints=150, policies=100))
    ((severity, sentence),) = reasons(cluster(), *scales)
    assert severity == "warn"
    assert "5,000 Services, 5,000 EndpointSlices with 250,000 endpoints and 100 NetworkPolicies" in sentence
    assert f"in namespace {NAMESPACE}" in sentence
    assert "MB in etcd" in sentence
    assert "1 min 7 s to 3 min 44 s at 150 to 45 writes per second" in sentence
    assert capacity.stored_bytes(Quantity(5_000, 50, 0)) == pytest.approx(34e6, rel=0.1)


def test_quotas_must_allow_the_largest_scale() -> None:
    needs = capacity.quota_needs((Scale(services=10, endpoints=150, policies=3), Scale(services=20)))
    assert needs == {
        "services": 20.0,
        "count/services": 20.0,
        "count/endpointslices.discovery.k8s.io": 20.0,
        "count/networkpolicies.networking.k8s.io": 4.0,
    }
