"""A run that is killed at any write while it makes its scale leaves nothing, by any way of restoring the cluster."""

from contextlib import suppress
from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps.catalogue.factors import Scale
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.scale import cluster_scale
from tests.steps.kube.fakes.api import NAMESPACE, KilledError, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.guard.guarding import NEXT_GUARD, guarding, killed, terminated
from tests.steps.kube.switching import held
from tests.steps.kube.test_adapter import OTHER, RUN, holder, kube, put_workflow, settings, visit

FIRST, SECOND = Scale(services=6, policies=2), Scale(services=2, endpoints=3)


def left(calico: Calico) -> list[str]:
    """The names of what is left of a scale."""
    store = calico.store
    kinds = (("", "services"), ("discovery.k8s.io", "endpointslices"), ("networking.k8s.io", "networkpolicies"))
    return [found["metadata"]["name"] for kind in kinds for found in store.all(*kind, NAMESPACE)]


def run(calico: Calico, kill_at: int | None, *, late: bool) -> int:
    """A run that makes two scales, and is killed at a write; how many writes it made."""
    client, direct = direct_client(calico.store)
    direct.kill_at, direct.kill_after_write = kill_at, late
    who = KubernetesCluster(
        "prod", client=client, variables=dict(RUN), say=lambda _s: None, sleep=calico.store.advance, gate_s=0
    )
    scales: dict[str, Any] = {"scales": (FIRST, SECOND)}
    asked = settings().model_copy(update=scales)
    with suppress(KilledError):
        who.snapshot()
        who.configure(visit("iptables"), asked)
        who.set_scale(visit("iptables"), asked, SECOND)
    return direct.writes


@pytest.mark.parametrize("late", [False, True])
def test_killed_at_any_write_the_guard_leaves_nothing(*, late: bool) -> None:
    whole = run(prepared(), None, late=False)
    assert whole > 15
    for kill_at in range(whole):
        calico = prepared()
        run(calico, kill_at, late=late)
        terminated(calico)
        guarding(calico).restore_left()
        assert (left(calico), calico.settings()) == ([], Calico().settings()), f"killed at write {kill_at}"


@pytest.mark.parametrize("late", [False, True])
def test_guard_killed_at_any_write_leaves_the_rest_to_the_next_one(*, late: bool) -> None:
    at = 0
    while True:
        calico = prepared()
        run(calico, None, late=False)
        terminated(calico)
        if killed(calico, at, late=late) < at:
            break
        guarding(calico, NEXT_GUARD).restore_left()
        assert (left(calico), held(calico)) == ([], False), f"killed at write {at}"
        at += 1
    assert at >= 5


def test_lock_is_kept_until_the_scale_is_gone() -> None:
    """Whoever is killed while thousands of Services are removed leaves the lock, by which the next one goes on."""
    calico = prepared()
    run(calico, None, late=False)
    terminated(calico)
    calico.store.denied = lambda request: request.verb == "deletecollection" and request.plural == "services"
    found = guarding(calico).restore_left()
    assert found is not None
    assert "services" in found.problem
    assert held(calico)
    assert left(calico)
    calico.store.denied = lambda _request: False
    guarding(calico, NEXT_GUARD).restore_left()
    assert (left(calico), held(calico)) == ([], False)


def prepared() -> Calico:
    """A cluster where a workflow may take the lock."""
    calico = Calico()
    holder(calico)
    return calico


def test_restore_by_a_user_removes_the_scale() -> None:
    calico = prepared()
    run(calico, None, late=False)
    assert len(left(calico)) == 4
    put_workflow(calico, phase="Failed")
    kube(calico).restore_for_user()
    assert left(calico) == []


def test_scale_restore_of_another_run_changes_nothing() -> None:
    calico = prepared()
    run(calico, None, late=False)
    with pytest.raises(Unsupported, match="held by"):
        kube(calico, OTHER).set_scale(visit("iptables"), settings(), Scale())
    assert len(left(calico)) == 4


def test_endpoints_change_until_the_scale_does() -> None:
    calico = prepared()
    who = holder(calico)
    who.snapshot()
    patched = calico.store.changed

    def changes() -> int:
        return sum(r.verb == "patch" and r.plural == "endpointslices" for r in calico.store.requests)

    who.set_scale(visit("iptables"), settings(), Scale(services=3, endpoints=2, churn_per_s=200))
    with patched:
        assert patched.wait_for(lambda: changes() >= 7, 10), "each of three Services more than twice"
    churn = cluster_scale._PROCESS.churn
    assert churn is not None
    assert churn.achieved_per_s > 0
    who.set_scale(visit("iptables"), settings(), Scale(services=3, endpoints=2))
    ended = changes()
    slices = calico.store.all("discovery.k8s.io", "endpointslices", NAMESPACE)
    addresses = [each["endpoints"][0]["addresses"][0] for each in slices]
    assert all(address.startswith(("198.18.", "198.19.")) for address in addresses)
    assert len(set(addresses)) == 3
    assert changes() == ended, "the old rate has ended"
    assert cluster_scale._PROCESS.churn is None


def test_failed_churn_is_reported_when_it_is_counted() -> None:
    calico = prepared()
    who = holder(calico)
    who.snapshot()
    calico.store.denied = lambda request: request.verb == "patch" and request.plural == "endpointslices"
    who.set_scale(visit("iptables"), settings(), Scale(services=1, churn_per_s=1))
    churn = cluster_scale._PROCESS.churn
    assert churn is not None
    churn._threads[0].join(10)
    with pytest.raises(Problem, match="not allowed"):
        _ = churn.achieved_per_s
    cluster_scale.end_churn()
