"""The objects of a cluster's scale: made, changed, removed, and gone after a kill at any write."""

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import Problem
from steps.cluster.kube.api import transport
from steps.cluster.kube.scale import change, objects
from steps.cluster.kube.scale.objects import ADMITS, IN_A_BATCH, RANGES, Quantity
from tests.steps.kube.fakes.answers import Object
from tests.steps.kube.fakes.api import NAMESPACE, Api, Fault, KilledError, direct_client
from tests.steps.kube.fakes.store import Store

OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run-1", "uid": "uid-1"}
KINDS = {
    ("", "services"): ("v1", "Service"),
    ("discovery.k8s.io", "endpointslices"): ("v1", "EndpointSlice"),
    ("networking.k8s.io", "networkpolicies"): ("v1", "NetworkPolicy"),
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "IN_A_BATCH", 4)
    monkeypatch.setattr(objects, "IN_A_SLICE", 3)


def store() -> Store:
    made = Store()
    for (group, plural), (version, kind) in KINDS.items():
        made.serve(group, version, plural, kind)
    return made


def of(held: Store, plural: str) -> list[Object]:
    return [found for group, kind in KINDS if kind == plural for found in held.all(group, kind)]


def quantity(held: Store) -> Quantity:
    endpoints = [len(each["endpoints"]) for each in of(held, "endpointslices")]
    policies = [each for each in of(held, "networkpolicies") if each["metadata"]["name"] != ADMITS]
    return Quantity(len(of(held, "services")), sum(endpoints), len(policies))


def make(
    held: Store, wanted: Quantity, *, kill_at: int | None = None, late: bool = False, owner: Object | None = OWNER
) -> int:
    """Change the scale, killed at this write, if any; how many writes it made."""
    client, direct = direct_client(held, owner)
    direct.kill_at, direct.kill_after_write = kill_at, late
    with suppress(KilledError):
        change.change(client, wanted, 4)
    return direct.writes


def test_services_have_their_own_endpoints_where_no_pod_is() -> None:
    held = store()
    make(held, Quantity(5, 7, 2))
    assert quantity(held) == Quantity(5, 35, 2)
    slices = of(held, "endpointslices")
    services = {each["metadata"]["name"]: each for each in of(held, "services")}
    assert not any("selector" in each["spec"] for each in services.values())
    for each in slices:
        assert each["metadata"]["labels"]["kubernetes.io/service-name"] in services
        assert each["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "dataplane-benchmark"
        assert [port["name"] for port in each["ports"]] == ["connect"], "or the Service's port has no endpoint"
    addresses = [a for each in slices for e in each["endpoints"] for a in e["addresses"]]
    assert len(set(addresses)) == 35
    assert all(ip_address(a) in RANGES[4] for a in addresses)
    found = [*services.values(), *slices, *of(held, "networkpolicies")]
    assert all(each["metadata"]["ownerReferences"] == [OWNER] for each in found)


def test_endpoints_are_made_before_their_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "in_parallel", lambda _load, calls, *_at_once: [call() for call in calls])
    held = store()
    make(held, Quantity(5, 1))
    made = [request.plural for request in held.requests if request.verb == "create"]
    assert made == ["endpointslices"] * 5 + ["services"] * 5


def test_policies_admit_the_traffic_and_only_the_last_one_matches_it() -> None:
    held = store()
    make(held, Quantity(0, 1, 3))
    *others, last = sorted(of(held, "networkpolicies"), key=lambda each: each["metadata"]["name"])
    assert last["metadata"]["name"] == ADMITS
    assert last["spec"]["ingress"] == [{}]
    sources = [source["ipBlock"]["cidr"] for each in others for source in each["spec"]["ingress"][0]["from"]]
    assert len(set(sources)) == 3
    assert all(ip_address(source.removesuffix("/32")) in RANGES[4] for source in sources)
    assert {str(each["spec"]["podSelector"]) for each in (*others, last)} == {str(last["spec"]["podSelector"])}


SCALES = st.builds(Quantity, st.integers(0, 9), st.sampled_from([1, 2, 7]), st.integers(0, 5))


@settings(max_examples=40)
@given(first=SCALES, second=SCALES)
def test_change_writes_the_difference(first: Quantity, second: Quantity) -> None:
    held, fresh = store(), store()
    make(held, first)
    make(held, second)
    make(fresh, second)
    assert {key: each["metadata"]["labels"] for key, each in held.objects.items()} == {
        key: each["metadata"]["labels"] for key, each in fresh.objects.items()
    }
    assert make(held, second) == 0, "a second call changes nothing"


@settings(max_examples=80)
@given(first=SCALES, second=SCALES, kill=st.integers(0, 40), late=st.booleans(), again=st.integers(0, 12))
def test_killed_at_any_write_nothing_stays(
    first: Quantity, second: Quantity, kill: int, again: int, *, late: bool
) -> None:
    held = store()
    make(held, first)
    make(held, second, kill_at=kill, late=late)
    policies = [each["metadata"]["name"] for each in of(held, "networkpolicies")]
    assert not policies or ADMITS in policies, "the measured pods are never cut off"
    client, direct = direct_client(held)
    direct.kill_at = again
    with suppress(KilledError):
        change.clear(client)
    policies = [each["metadata"]["name"] for each in of(held, "networkpolicies")]
    assert not policies or ADMITS in policies, "nor while they are removed"
    change.clear(direct_client(held)[0])
    assert not held.objects


@settings(max_examples=30)
@given(wanted=SCALES, kill=st.integers(0, 40), late=st.booleans())
def test_killed_change_can_be_repeated(wanted: Quantity, kill: int, *, late: bool) -> None:
    held = store()
    make(held, wanted, kill_at=kill, late=late)
    make(held, wanted)
    assert quantity(held) == Quantity(wanted.services, wanted.services * wanted.endpoints, wanted.policies)


def test_objects_of_another_workflow_are_replaced() -> None:
    held = store()
    make(held, Quantity(3, 1, 1))
    make(held, Quantity(3, 1, 1), owner={**OWNER, "uid": "uid-2"})
    owners = {found["metadata"]["ownerReferences"][0]["uid"] for found in held.objects.values()}
    assert owners == {"uid-2"}, "they would vanish with the workflow that made them"


def test_objects_of_others_stay() -> None:
    held = store()
    theirs = {"metadata": {"name": "web", "namespace": NAMESPACE}, "spec": {"type": "ClusterIP", "ports": []}}
    held.put("", "services", theirs)
    make(held, Quantity(6, 1, 2))
    change.clear(direct_client(held)[0])
    assert [found["metadata"]["name"] for found in held.objects.values()] == ["web"]


def test_whole_batches_are_removed_in_one_call_each() -> None:
    held = store()
    make(held, Quantity(IN_A_BATCH, 1))
    held.requests.clear()
    make(held, Quantity(6, 1))
    calls = [(r.verb, r.plural) for r in held.requests if r.verb.startswith("delete")]
    # of 250 Services 6 stay: 2 of the second batch of 4 are removed alone
    assert calls.count(("delete", "services")) == 2
    assert calls.count(("deletecollection", "services")) == -(-IN_A_BATCH // 4) - 2


def test_server_that_puts_calls_off_is_obeyed_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BACKOFF", lambda _state: 0.0)
    held = store()
    api = Api(held)
    with api.running():
        api.faults = [
            Fault("status", 3, method="POST", status=429, retry_after="0"),
            Fault("cut-after", 2, method="POST"),
        ]
        load = change.change(api.client(), Quantity(4, 1), 4)
        assert load.throttled == 3
        assert "3 were put off by its limits" in load.sentence
        assert len(load.writes_s) == 8
        assert quantity(held) == Quantity(4, 4)
        change.clear(api.client())
    assert not held.objects


def test_full_service_range_has_a_remedy() -> None:
    held = store()
    held.admission = lambda request, _body: (
        "failed to allocate a serviceIP: range is full" if request.plural == "services" else None
    )
    with pytest.raises(Problem, match="there are no addresses for 2 Services more: choose fewer with services=N, or"):
        make(held, Quantity(2, 1))
