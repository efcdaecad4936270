"""Whom the guard tells, when, and how long its pod stays."""

from collections.abc import Mapping
from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps import notification
from steps.cluster.kube import adapter
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.restoration import Restoration
from steps.settings import environment
from steps.tasks import guard
from steps.tasks.guarding import guard_restore
from steps.tasks.guarding.guard_lock import LockStatus
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.guard.guarding import GUARD, READY, StoreApi, guarding, put_pod, switched, terminated
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

    def act(found: LockStatus, _variables: Mapping[str, str]) -> int:
        guard_restore.notify_of_person(found.owner, found.held_s, REPORTED)
        told_after.append(minute)
        return 0

    for minute in range(0, 3 * 1440, 5):
        assert guard.watch(StoreApi(calico), {guard.MINUTES: "5"}, act) == 0
        calico.store.advance(295 if minute % 10 else 305)  # a pod does not always start in the same second
    assert [round(minute / 1440, 2) for minute in told_after] == [1.0, 2.0]
    assert "make restore ENVIRONMENT=admin@prod" in posted[0]["text"]
    assert "switched the cluster 1 d ago, and no run can begin" in posted[0]["text"]


@pytest.mark.parametrize("minutes", ["0", "five", "-5", ""])
def test_user_is_reported_whatever_an_edited_number_of_minutes_is(minutes: str) -> None:
    """As if it were 1."""
    calico = Calico()
    kube(calico).configure_for_user("ebpf")
    calico.store.advance(86_400)
    acted: list[LockStatus] = []

    def act(found: LockStatus, _variables: Mapping[str, str]) -> int:
        acted.append(found)
        return 0

    for _look in range(3):
        assert guard.watch(StoreApi(calico), {guard.MINUTES: minutes}, act) == 0
        calico.store.advance(60)
    assert [found.state for found in acted] == ["person"]


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

    def act(_found: LockStatus, _variables: Mapping[str, str]) -> int:
        acted.append(clock())
        return 0

    assert guard.watch(api, {}, act, sleep, clock) == 0
    assert len(acted) == 1
    assert 100 < acted[0] < 115 + guard.CHECK_S


def test_guard_stays_no_longer_than_its_time() -> None:
    calico, _before = switched()
    began = calico.store.now()

    def sleep(seconds: float) -> None:
        calico.store.advance(seconds)
        put_pod(calico, "measure", "Running", READY)

    def clock() -> float:
        return (calico.store.now() - began).total_seconds()

    assert guard.watch(StoreApi(calico), {}, lambda *_: 1, sleep, clock) == 0
    assert guard.STAY_S <= clock() < guard.STAY_S + 2 * guard.CHECK_S


def test_guard_ends_at_once_where_nothing_is_held() -> None:
    slept: list[float] = []
    calico = Calico()
    before = len(calico.store.requests)
    assert guard.watch(StoreApi(calico), {}, lambda *_: 1, slept.append) == 0
    assert slept == []
    assert len([r for r in calico.store.requests[before:] if r.plural]) == 1 + 2, (
        "the lock, and pods and Services of runs that never held it"
    )


def act(calico: Calico, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> int:
    """What the guard does at a look that found something left."""
    named: list[str] = []

    def made(name: str, **_given: object) -> KubernetesCluster:
        named.append(name)
        return guarding(calico)

    monkeypatch.setattr(adapter, "KubernetesCluster", made)
    code = guard._act(LockStatus("left", 100.0, "run-1"), variables)
    assert len(named) == 1
    return code


@pytest.mark.parametrize(
    ("names", "called"), [({}, "this cluster"), ({environment.CONTEXT: "admin@prod"}, "admin@prod")]
)
def test_guard_restores_without_the_name_that_is_for_messages(
    names: dict[str, str], called: str, posted: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    calico, before = switched()
    terminated(calico)
    unnamed = {**REPORTED, environment.ENVIRONMENT: "", environment.CONTEXT: "", **names}
    assert act(calico, unnamed, monkeypatch) == 0
    assert calico.settings() == before
    assert [each["text"].partition(": ")[0] for each in posted] == [called]
    guard_restore.notify_of_person("ada@desk", 86_400.0, unnamed)
    command = "ENVIRONMENT=admin@prod" if names else "ENVIRONMENT=..."
    assert f"`make restore {command}`" in posted[1]["text"]


def test_guard_that_can_not_even_begin_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_name: str, **_given: object) -> KubernetesCluster:
        raise Unsupported("there is no way to this pod's cluster.")

    monkeypatch.setattr(adapter, "KubernetesCluster", broken)
    assert guard._act(LockStatus("left", 100.0, "run-1"), GUARD) == Unsupported.exit_code
    assert capsys.readouterr().err == "there is no way to this pod's cluster.\n"


def test_lock_that_no_guard_can_read_is_reported_once(posted: list[Object], monkeypatch: pytest.MonkeyPatch) -> None:
    for _lock in range(2):
        calico, _before = switched()
        terminated(calico)
        lock = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
        assert lock is not None
        lock["data"]["snapshot"] = "{"
        for _minute in range(3):
            assert act(calico, REPORTED, monkeypatch) == Problem.exit_code
            calico.store.advance(60)
    assert len(posted) == 2, "once for each lock"
    text = posted[0]["text"]
    assert text.startswith(
        "prod: nothing that a run may have left can be put back until somebody looks: prod: ConfigMap"
    )
    assert "delete configmap dataplane-benchmark" in text
    assert (posted[0]["run"], posted[0]["restored"]) == (None, False)


def test_unreadable_lock_that_can_not_be_noted_is_said_in_the_log_alone(
    posted: list[Object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calico, _before = switched()
    lock = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert lock is not None
    lock["data"]["snapshot"] = "{"
    calico.store.denied = lambda request: request.verb == "patch"
    assert act(calico, REPORTED, monkeypatch) != 0
    assert posted == []
    said = capsys.readouterr().err
    assert "is no snapshot that this program reads" in said
    assert "Nobody was notified of it, since that could not be noted" in said
