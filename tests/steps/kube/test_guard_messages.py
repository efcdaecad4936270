"""Whom the guard tells, when, and how long its pod stays."""

from collections.abc import Mapping
from typing import Any

import pytest

from analysis.errors import Problem
from steps import notification
from steps.cluster.kube.restoration import Restoration
from steps.settings import environment
from steps.tasks import guard
from steps.tasks.guarding import guard_restore
from steps.tasks.guarding.guard_look import Look
from tests.steps.kube.fake_calico import Calico
from tests.steps.kube.guarding import GUARD, READY, StoreApi, guarding, put_pod, switched, terminated
from tests.steps.kube.test_adapter import kube

Object = dict[str, Any]


pytestmark = pytest.mark.usefixtures("no_wait_for_lost_pods")


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[Object]:
    found: list[Object] = []

    def post(_url: str, body: Object) -> int:
        found.append(body)
        return 200

    monkeypatch.setattr(notification, "post", post)
    return found


REPORTED = {**GUARD, environment.NOTIFY_URL: "https://hooks.example/x", environment.CONTEXT: "admin@prod"}


def test_success_is_reported_and_a_failure_once(posted: list[Object], monkeypatch: pytest.MonkeyPatch) -> None:
    calico, _before = switched()
    terminated(calico)
    cluster = guarding(calico)

    def fail(_self: object) -> None:
        raise Problem("prod: nothing works.")

    with monkeypatch.context() as broken:
        broken.setattr(Restoration, "_restore_all", fail)
        for _try in range(3):
            assert guard_restore.restore_left(cluster, REPORTED) == Problem.exit_code
    assert [each["restored"] for each in posted] == [False]
    assert posted[0]["text"].startswith("prod: could not put back what run run-1, terminated at 2026-11-23T06:10:00Z,")
    assert guard_restore.restore_left(cluster, REPORTED) == 0
    assert posted[1] == {
        "text": "prod: put back what run run-1, terminated at 2026-11-23T06:10:00Z, had left.",
        "run": "run-1", "environment": "prod", "status": "guard", "restored": True,
    }  # fmt: skip


def test_user_holding_the_lock_is_reported_once_a_day(posted: list[Object]) -> None:
    calico = Calico()
    kube(calico).configure_for_user("ebpf")
    told_after: list[int] = []

    def act(found: Look, _variables: Mapping[str, str]) -> int:
        guard_restore.notify_of_person(found.owner, found.held_s, REPORTED)
        told_after.append(minute)
        return 0

    for minute in range(0, 3 * 1440, 5):
        assert guard.watch(StoreApi(calico), {guard.MINUTES: "5"}, act) == 0
        calico.store.advance(295 if minute % 10 else 305)  # a pod does not always start in the same second
    assert [round(minute / 1440, 2) for minute in told_after] == [1.0, 2.0]
    assert "make restore ENVIRONMENT=admin@prod" in posted[0]["text"]
    assert "switched the cluster 1 d ago, and no run can begin" in posted[0]["text"]


def test_guard_stays_with_a_run_and_acts_within_seconds_of_its_end() -> None:
    calico, _before = switched()
    api, began = StoreApi(calico), calico.store.now()

    def clock() -> float:
        return (calico.store.now() - began).total_seconds()

    acted: list[float] = []

    def sleep(seconds: float) -> None:
        calico.store.advance(seconds)
        put_pod(calico, "measure", "Running", READY)
        if 100 < clock() < 115:
            terminated(calico)

    def act(_found: Look, _variables: Mapping[str, str]) -> int:
        acted.append(clock())
        return 0

    assert guard.watch(api, {}, act, sleep, clock) == 0
    assert len(acted) == 1
    assert 100 < acted[0] < 115 + guard.LOOK_S


def test_guard_stays_no_longer_than_its_time() -> None:
    calico, _before = switched()
    began = calico.store.now()

    def sleep(seconds: float) -> None:
        calico.store.advance(seconds)
        put_pod(calico, "measure", "Running", READY)

    def clock() -> float:
        return (calico.store.now() - began).total_seconds()

    assert guard.watch(StoreApi(calico), {}, lambda *_: 1, sleep, clock) == 0
    assert guard.STAY_S <= clock() < guard.STAY_S + 2 * guard.LOOK_S


def test_guard_ends_at_once_where_nothing_is_held() -> None:
    slept: list[float] = []
    calico = Calico()
    before = len(calico.store.requests)
    assert guard.watch(StoreApi(calico), {}, lambda *_: 1, slept.append) == 0
    assert slept == []
    assert len([r for r in calico.store.requests[before:] if r.plural]) == 1 + 2, (
        "the lock, and pods and Services of runs that never held it"
    )
