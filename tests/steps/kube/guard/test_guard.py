"""The guard: what it leaves alone, and what it puts back."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from steps.cluster.kube.api.permissions import KUBE_SYSTEM, PERMISSIONS, STATE
from steps.lease import RENEWAL_S
from steps.tasks.guarding import guard_restore
from steps.tasks.guarding.guard_lock import check_lock
from tests.steps.kube.fakes.api import NAMESPACE
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.guard.guarding import (
    LATER_S,
    LOST,
    NEXT_GUARD,
    READY,
    StoreApi,
    guarding,
    killed,
    put_pod,
    switched,
    terminated,
)
from tests.steps.kube.switching import held
from tests.steps.kube.test_adapter import RUN, kube, put_workflow

Object = dict[str, Any]


pytestmark = pytest.mark.usefixtures("no_wait_for_lost_pods")


Prepare = Callable[[Calico], object]


def phase(name: str) -> Prepare:
    return lambda calico: put_workflow(calico, phase=name, finishedAt="2026-11-23T06:10:00Z")


def later(*then: Prepare, seconds: float = LATER_S) -> Prepare:
    def prepare(calico: Calico) -> None:
        calico.store.advance(seconds)
        for each in then:
            each(calico)

    return prepare


def pod(phase: str, status: Object | None = None) -> Prepare:
    return lambda calico: put_pod(calico, "measure", phase, status)


def delete_workflow(calico: Calico) -> None:
    calico.store.take("argoproj.io", "workflows", NAMESPACE, "run-1")


def replaced_workflow(calico: Calico) -> None:
    delete_workflow(calico)
    put_workflow(calico, {**RUN, "ARGO_WORKFLOW_UID": "uid-9"})


ALIVE: dict[str, Prepare] = {
    "running": lambda _calico: None,
    "running, Argo's controller away for two minutes": later(seconds=120),
    "sends for minutes": later(pod("Running", READY)),
    "waits for a pod that starts": later(pod("Pending")),
    "a step has just ended": later(pod("Succeeded")),
}
DEAD: dict[str, tuple[Prepare, str]] = {
    "failed": (phase("Failed"), "ended as Failed at 2026-11-23T06:10:00Z"),
    "in error": (phase("Error"), "ended as Error at 2026-11-23T06:10:00Z"),
    "succeeded": (phase("Succeeded"), "ended as Succeeded at 2026-11-23T06:10:00Z"),
    "terminated": (terminated, "terminated at 2026-11-23T06:10:00Z"),
    "deleted": (delete_workflow, "whose workflow was deleted"),
    "another of the name": (replaced_workflow, "whose workflow was deleted"),
    "controller dead": (later(), "without a sign of life since 2026-11-23T06:00:"),
    "controller and node dead": (later(pod("Running", LOST)), "without a sign of life since 2026-11-23T06:00:"),
}


@pytest.mark.parametrize("state", ALIVE)
def test_run_that_is_alive_is_left_alone(state: str) -> None:
    calico, _before = switched()
    ALIVE[state](calico)
    now = calico.settings()
    assert check_lock(StoreApi(calico)).state == "run"
    assert guarding(calico).restore_left() is None
    assert calico.settings() == now


@pytest.mark.parametrize("state", DEAD)
@pytest.mark.parametrize("dataplane", ["ebpf-dsr", "nftables"])
def test_guard_restores_what_a_dead_run_left(state: str, dataplane: str) -> None:
    calico, before = switched(dataplane)
    prepare, ending = DEAD[state]
    prepare(calico)
    assert check_lock(StoreApi(calico)).state == "left"
    found = guarding(calico).restore_left()
    assert found is not None
    assert (found.run, found.problem, found.first) == ("run-1", "", True)
    assert guard_restore.message(found).startswith(f"put back what run run-1, {ending}")
    assert calico.settings() == before
    assert not held(calico)
    assert check_lock(StoreApi(calico)).state == "free"


def test_guard_leaves_the_lock_of_a_user_and_of_another_namespace() -> None:
    calico = Calico()
    kube(calico).configure_for_user("ebpf")
    calico.store.advance(10 * 86_400)
    now = calico.settings()
    assert check_lock(StoreApi(calico)).state == "person"
    assert guarding(calico).restore_left() is None
    calico, _before = switched()
    delete_workflow(calico)
    api = StoreApi(calico)
    api.namespace = "elsewhere"
    assert check_lock(api).state == "elsewhere"
    assert calico.settings() | now


def test_old_lock_without_a_renewal_counts_from_when_it_was_taken() -> None:
    calico, _before = switched()
    lock = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert lock is not None
    lock["data"].pop("renewed_at", None)
    assert check_lock(StoreApi(calico)).state == "run"
    calico.store.advance(LATER_S)
    assert check_lock(StoreApi(calico)).state == "left"


def test_lock_is_renewed_while_pods_of_the_run_are_at_work() -> None:
    calico, _before = switched()
    api = StoreApi(calico)
    for _minute in range(10):
        calico.store.advance(RENEWAL_S)
        put_pod(calico, "measure", "Running", READY)
        assert check_lock(api).state == "run"
    lock = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert lock is not None
    assert datetime.fromisoformat(lock["data"]["renewed_at"]) >= api.now - timedelta(seconds=RENEWAL_S)
    calico.store.take("", "pods", NAMESPACE, "measure")
    calico.store.advance(LATER_S - RENEWAL_S - 10)
    assert check_lock(api).state == "run", "the renewal counts, though no pod is left"
    calico.store.advance(RENEWAL_S + 20)
    assert check_lock(api).state == "left"


LOCK = f"configmaps {KUBE_SYSTEM}/{STATE}"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("owner", "{"),
        ("owner", "{}"),
        ("owner", '{"workflow": 5, "namespace": "bench", "person": null}'),
        ("owner", '{"workflow": null, "namespace": null, "person": ["ann"]}'),
        ("renewed_at", "2026-11-23T06:00:00"),
        ("taken_at", "2026-11-23T06:00:00"),
    ],
)
def test_damaged_lock_is_left_to_a_user(field: str, text: str) -> None:
    calico, _before = switched()
    lock = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert lock is not None
    lock["data"][field] = text
    assert check_lock(StoreApi(calico)).state == "left"
    now = calico.settings()
    found = guarding(calico).restore_left()
    assert found is not None
    assert "is no snapshot that this program reads" in found.problem
    assert {**calico.settings(), LOCK: None} == {**now, LOCK: None}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("dataplane", ["ebpf-dsr", "nftables"])
def test_guard_killed_at_any_call_is_finished_by_the_next(dataplane: str, *, late: bool) -> None:
    at = 0
    while True:
        calico, before = switched(dataplane)
        terminated(calico)
        if killed(calico, at, late=late) < at + late:
            break
        found = guarding(calico, NEXT_GUARD).restore_left()
        assert held(calico) is False, f"killed at write {at}"
        assert calico.settings() == before, f"killed at write {at}"
        assert len(calico.kube_proxy_pods) == 2
        if found is not None:
            assert not found.first or at + late == 0
        at += 1
    assert at >= 4


def test_looks_need_no_permission_beyond_the_switching_account() -> None:
    calico, _before = switched()
    calico.store.advance(RENEWAL_S)
    put_pod(calico, "measure", "Running", READY)
    before = len(calico.store.requests)
    check_lock(StoreApi(calico))
    calls = {(r.verb, r.plural) for r in calico.store.requests[before:] if r.plural}
    assert calls == {("get", "configmaps"), ("get", "workflows"), ("list", "pods"), ("patch", "configmaps")}
    assert calls <= {(entry.verb, entry.plural) for entry in PERMISSIONS if "switch" in entry.roles}
