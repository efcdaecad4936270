"""The guard: what it leaves alone, what it puts back, and that nobody else puts it back at the same time."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps import notification
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, PERMISSIONS, STATE
from steps.cluster.kube.ownership import takeover
from steps.lease import POD_NAME, POD_UID, RENEWAL_S, SILENT_S
from steps.settings import environment
from steps.tasks import _guard_restore, guard
from steps.tasks._guard_look import Look, look
from tests.steps.kube.fake_api import NAMESPACE, KilledError, direct_client
from tests.steps.kube.fake_calico import Calico
from tests.steps.kube.switching import held, running
from tests.steps.kube.test_adapter import OTHER, RUN, holder, kube, put_workflow, settings, visit

Object = dict[str, Any]
GUARD = {POD_NAME: "guard-1", POD_UID: "uid-g1", "BENCHMARK_ENVIRONMENT": "prod"}
NEXT_GUARD = {**GUARD, POD_NAME: "guard-2", POD_UID: "uid-g2"}
LATER_S = SILENT_S + 1


@pytest.fixture(autouse=True)
def _no_wait_for_lost_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "_LAST_WRITES_S", 0.0)


class StoreApi:
    """The fake API server, as the guard's look calls it."""

    def __init__(self, calico: Calico) -> None:
        self.store = calico.store
        self.namespace = NAMESPACE

    @property
    def now(self) -> datetime:
        return parsedate_to_datetime(self.store.handle("GET", "/version").headers["Date"])

    def get(self, path: str, accept: str = "application/json") -> Object | None:
        del accept
        answer = self.store.handle("GET", path)
        return None if answer.status == 404 else dict(json.loads(answer.body))

    def patch(self, path: str, body: Object) -> None:
        assert self.store.handle("PATCH", path, json.dumps(body).encode(), "application/merge-patch+json").status == 200


def switched(dataplane: str = "ebpf") -> tuple[Calico, Object]:
    """A cluster that a running workflow has switched; and its settings from before."""
    calico = Calico()
    before = calico.settings()
    holder(calico).configure(visit(dataplane), settings())
    return calico, before


def guarding(
    calico: Calico, variables: Mapping[str, str] = GUARD, notices: list[str] | None = None
) -> KubernetesCluster:
    return kube(calico, dict(variables), notices)


def put_pod(calico: Calico, name: str, phase: str, *, of_run: bool = True, uid: str = "", **status: object) -> None:
    labels = (
        {"workflows.argoproj.io/workflow": "run-1"}
        if of_run
        else {"dataplane-benchmark/part": "guard", "app.kubernetes.io/name": "dataplane-benchmark"}
    )
    metadata: Object = {"namespace": NAMESPACE, "name": name, "labels": labels, **({"uid": uid} if uid else {})}
    metadata["creationTimestamp"] = calico.store.now().isoformat()
    calico.store.put("", "pods", {"metadata": metadata, "spec": {}, "status": {"phase": phase, **status}})


READY = {"conditions": [{"type": "Ready", "status": "True"}]}
LOST = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T05:00:00Z"}]}

Prepare = Callable[[Calico], object]


def phase(name: str) -> Prepare:
    return lambda calico: put_workflow(calico, phase=name, finishedAt="2026-11-23T06:10:00Z")


def later(*then: Prepare, seconds: float = LATER_S) -> Prepare:
    def prepare(calico: Calico) -> None:
        calico.store.advance(seconds)
        for each in then:
            each(calico)

    return prepare


def pod(phase: str, **status: object) -> Prepare:
    return lambda calico: put_pod(calico, "measure", phase, **status)


def delete_workflow(calico: Calico) -> None:
    calico.store.take("argoproj.io", "workflows", NAMESPACE, "run-1")


def replaced_workflow(calico: Calico) -> None:
    delete_workflow(calico)
    put_workflow(calico, {**RUN, "ARGO_WORKFLOW_UID": "uid-9"})


def terminated(calico: Calico) -> None:
    spec = {"workflowTemplateRef": {"name": "dataplane-benchmark"}, "shutdown": "Terminate"}
    put_workflow(calico, phase="Failed", spec=spec, finishedAt="2026-11-23T06:10:00Z")


ALIVE: dict[str, Prepare] = {
    "running": lambda _calico: None,
    "running, Argo's controller away for two minutes": later(seconds=120),
    "sends for minutes": later(pod("Running", **READY)),
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
    "controller and node dead": (later(pod("Running", **LOST)), "without a sign of life since 2026-11-23T06:00:"),
}


@pytest.mark.parametrize("state", ALIVE)
def test_run_that_is_alive_is_left_alone(state: str) -> None:
    calico, _before = switched()
    ALIVE[state](calico)
    now = calico.settings()
    assert look(StoreApi(calico)).state == "run"
    assert guarding(calico).restore_left() is None
    assert calico.settings() == now


@pytest.mark.parametrize("state", DEAD)
@pytest.mark.parametrize("dataplane", ["ebpf-dsr", "nftables"])
def test_what_a_dead_run_left_is_put_back(state: str, dataplane: str) -> None:
    calico, before = switched(dataplane)
    prepare, ending = DEAD[state]
    prepare(calico)
    assert look(StoreApi(calico)).state == "left"
    found = guarding(calico).restore_left()
    assert found is not None
    assert (found.run, found.problem, found.first) == ("run-1", "", True)
    assert _guard_restore.told(found).startswith(f"put back what run run-1, {ending}")
    assert calico.settings() == before
    assert not held(calico)
    assert look(StoreApi(calico)).state == "free"


def test_lock_of_a_person_or_of_another_namespace_is_never_put_back() -> None:
    calico = Calico()
    kube(calico).configure_for_user("ebpf")
    calico.store.advance(10 * 86_400)
    now = calico.settings()
    assert look(StoreApi(calico)).state == "person"
    assert guarding(calico).restore_left() is None
    calico, _before = switched()
    delete_workflow(calico)
    api = StoreApi(calico)
    api.namespace = "elsewhere"
    assert look(api).state == "elsewhere"
    assert calico.settings() | now


def test_old_lock_without_a_renewal_counts_from_when_it_was_taken() -> None:
    calico, _before = switched()
    lock = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert lock is not None
    lock["data"].pop("renewed_at", None)
    assert look(StoreApi(calico)).state == "run"
    calico.store.advance(LATER_S)
    assert look(StoreApi(calico)).state == "left"


def test_lock_is_renewed_while_pods_of_the_run_are_at_work() -> None:
    calico, _before = switched()
    api = StoreApi(calico)
    for _minute in range(10):
        calico.store.advance(RENEWAL_S)
        put_pod(calico, "measure", "Running", **READY)
        assert look(api).state == "run"
    lock = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert lock is not None
    assert datetime.fromisoformat(lock["data"]["renewed_at"]) >= api.now - timedelta(seconds=RENEWAL_S)
    calico.store.take("", "pods", NAMESPACE, "measure")
    calico.store.advance(LATER_S - RENEWAL_S - 10)
    assert look(api).state == "run", "the renewal counts, though no pod is left"
    calico.store.advance(RENEWAL_S + 20)
    assert look(api).state == "left"


def test_damaged_lock_is_for_a_person() -> None:
    calico, _before = switched()
    lock = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert lock is not None
    lock["data"]["owner"] = "{"
    assert look(StoreApi(calico)).state == "left"
    with pytest.raises(Problem, match="is no snapshot that this program reads"):
        guarding(calico).restore_left()


def killed(calico: Calico, at: int, *, late: bool, variables: Mapping[str, str] = GUARD) -> int:
    """A guard whose pod is killed at this write; how many it made."""
    client, transport = direct_client(calico.store)
    transport.kill_at, transport.kill_after_write = at, late
    cluster = KubernetesCluster(
        "prod", client=client, variables=variables, say=lambda _s: None, sleep=calico.store.advance, gate_s=0
    )
    with suppress(KilledError):
        cluster.restore_left()
    return transport.writes


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


def half_restored(calico: Calico, variables: Mapping[str, str] = GUARD) -> None:
    """A guard that has begun and is alive."""
    killed(calico, 1, late=False, variables=variables)
    put_pod(calico, variables[POD_NAME], "Running", of_run=False, uid=variables[POD_UID])


def test_second_guard_leaves_it_to_the_first_while_that_is_alive() -> None:
    calico, before = switched()
    terminated(calico)
    half_restored(calico)
    notices: list[str] = []
    assert guarding(calico, NEXT_GUARD, notices).restore_left() is None
    assert notices[-1].startswith("prod is being put back by guard guard-1 since ")
    assert running(calico) == "ebpf"
    put_pod(calico, "guard-1", "Failed", of_run=False, uid="uid-g1")
    found = guarding(calico, NEXT_GUARD).restore_left()
    assert found is not None
    assert not found.first
    assert calico.settings() == before


def test_of_two_guards_that_find_it_at_once_one_restores() -> None:
    calico, before = switched()
    terminated(calico)
    client, transport = direct_client(calico.store)

    def other_is_faster(_path: str) -> None:
        transport.meddle = lambda _path: None
        half_restored(calico, NEXT_GUARD)

    transport.meddle = other_is_faster
    first = KubernetesCluster("prod", client=client, variables=GUARD, say=lambda _s: None, gate_s=0)
    assert first.restore_left() is None
    assert transport.writes == 1, "its record was refused, and nothing else was written"
    put_pod(calico, "guard-2", "Failed", of_run=False, uid="uid-g2")
    assert guarding(calico).restore_left() is not None
    assert calico.settings() == before


def test_restore_by_a_person_waits_for_a_guard_and_a_guard_for_a_person() -> None:
    calico, before = switched()
    terminated(calico)
    half_restored(calico)
    with pytest.raises(Unsupported, match=r"being put back by guard guard-1 since .*: wait until that has ended"):
        kube(calico).restore_for_user()
    put_pod(calico, "guard-1", "Failed", of_run=False, uid="uid-g1")
    kube(calico).restore_for_user()
    assert calico.settings() == before


def test_next_run_waits_for_the_guard() -> None:
    calico, before = switched()
    terminated(calico)
    put_workflow(calico, OTHER)
    half_restored(calico)
    client, _transport = direct_client(calico.store)

    def guard_goes_on(seconds: float) -> None:
        calico.store.advance(seconds)
        guarding(calico).restore_left()

    notices: list[str] = []
    run = KubernetesCluster("prod", client=client, variables=OTHER, say=notices.append, sleep=guard_goes_on, gate_s=0)
    assert run.restore() == []
    assert notices[0].startswith("waiting for guard guard-1, which is putting prod back since ")
    assert calico.settings() == before
    assert run.snapshot()


def test_run_that_comes_back_to_life_waits_and_takes_the_lock_anew() -> None:
    calico, before = switched()
    calico.store.advance(LATER_S)
    half_restored(calico)
    put_workflow(
        calico, nodes={name: {"templateName": name, "phase": "Succeeded"} for name in ("preflight", "snapshot")}
    )
    client, _transport = direct_client(calico.store)
    states: list[Object] = []

    def guard_goes_on(seconds: float) -> None:
        calico.store.advance(seconds)
        guarding(calico).restore_left()
        states.append(calico.settings())

    run = KubernetesCluster("prod", client=client, variables=RUN, say=lambda _s: None, sleep=guard_goes_on, gate_s=0)
    with pytest.raises(Unsupported, match="is being put back by guard guard-1"):
        kube(calico, RUN).prepare(visit("ebpf"), settings())
    assert run.configure(visit("nftables"), settings())
    assert states[0] == before, "it switched only after everything was put back"


def test_run_that_comes_back_to_life_prepares_nothing_under_another_dataplane() -> None:
    calico, _before = switched()
    calico.store.advance(LATER_S)
    assert guarding(calico).restore_left() is not None
    for step in (
        lambda: kube(calico, RUN).prepare(visit("ebpf"), settings()),
        lambda: kube(calico, RUN).observe(visit("ebpf"), "before"),
    ):
        with pytest.raises(Problem, match="was put back when this run ended before, or while it gave no sign of life"):
            step()


def test_write_of_a_run_that_lost_its_lock_is_refused() -> None:
    """The guard began between the run's look at its lock and its first write."""
    calico, _before = switched()
    calico.store.advance(LATER_S)
    client, transport = direct_client(calico.store)

    def guard_begins(_path: str) -> None:
        transport.meddle = lambda _path: None
        half_restored(calico)

    transport.meddle = guard_begins
    run = KubernetesCluster("prod", client=client, variables=RUN, say=lambda _s: None, sleep=calico.store.advance)
    with pytest.raises(Unsupported, match="is being put back by guard guard-1"):
        run.configure(visit("nftables"), settings())
    assert running(calico) == "ebpf"


def test_guard_waits_for_the_last_pods_of_a_dead_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "_LAST_WRITES_S", 30.0)
    calico, before = switched()
    terminated(calico)
    put_pod(calico, "configure", "Running", **READY)
    client, transport = direct_client(calico.store)
    states: list[str | None] = []

    def pod_ends(_path: str, _what: str, read_s: float) -> Iterator[bytes]:
        del read_s
        transport.lines = type(transport).lines.__get__(transport)  # type: ignore[method-assign]
        states.append(running(calico))
        put_pod(calico, "configure", "Failed")
        yield from ()

    transport.lines = pod_ends  # type: ignore[method-assign]
    cluster = KubernetesCluster(
        "prod", client=client, variables=GUARD, say=lambda _s: None, sleep=calico.store.advance, gate_s=0
    )
    assert cluster.restore_left() is not None
    assert states == ["ebpf"], "nothing is put back while a pod of the run may still switch"
    assert calico.settings() == before


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[Object]:
    found: list[Object] = []
    monkeypatch.setattr(notification, "post", lambda _url, body: found.append(body) or 200)
    return found


TOLD = {**GUARD, environment.NOTIFY_URL: "https://hooks.example/x", environment.CONTEXT: "admin@prod"}


def test_success_is_told_and_a_failure_once(posted: list[Object], monkeypatch: pytest.MonkeyPatch) -> None:
    calico, _before = switched()
    terminated(calico)
    cluster = guarding(calico)

    def fail(_self: object) -> None:
        raise Problem("prod: nothing works.")

    with monkeypatch.context() as broken:
        broken.setattr(KubernetesCluster, "_restore_all", fail)
        for _try in range(3):
            assert _guard_restore.restore_left(cluster, TOLD) == Problem.exit_code
    assert [each["restored"] for each in posted] == [False]
    assert posted[0]["text"].startswith("prod: could not put back what run run-1, terminated at 2026-11-23T06:10:00Z,")
    assert _guard_restore.restore_left(cluster, TOLD) == 0
    assert posted[1] == {
        "text": "prod: put back what run run-1, terminated at 2026-11-23T06:10:00Z, had left.",
        "run": "run-1", "environment": "prod", "status": "guard", "restored": True,
    }  # fmt: skip


def test_person_is_told_of_once_a_day(posted: list[Object]) -> None:
    calico = Calico()
    kube(calico).configure_for_user("ebpf")
    told_after: list[int] = []

    def act(found: Look, _variables: Mapping[str, str]) -> int:
        _guard_restore.tell_of_person(found.owner, found.held_s, TOLD)
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
        put_pod(calico, "measure", "Running", **READY)
        if 100 < clock() < 115:
            terminated(calico)

    def act(_found: Look, _variables: Mapping[str, str]) -> int:
        acted.append(clock())
        return 0

    assert guard.watch(api, {}, act, sleep, clock) == 0
    assert len(acted) == 1
    assert 100 < acted[0] < 115 + guard.LOOK_S


def test_one_guard_stays_no_longer_than_its_time() -> None:
    calico, _before = switched()
    began = calico.store.now()

    def sleep(seconds: float) -> None:
        calico.store.advance(seconds)
        put_pod(calico, "measure", "Running", **READY)

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
    assert len([r for r in calico.store.requests[before:] if r.plural]) == 1


def test_looks_need_no_permission_beyond_the_switching_account() -> None:
    calico, _before = switched()
    calico.store.advance(RENEWAL_S)
    put_pod(calico, "measure", "Running", **READY)
    before = len(calico.store.requests)
    look(StoreApi(calico))
    calls = {(r.verb, r.plural) for r in calico.store.requests[before:] if r.plural}
    assert calls == {("get", "configmaps"), ("get", "workflows"), ("list", "pods"), ("patch", "configmaps")}
    assert calls <= {(entry.verb, entry.plural) for entry in PERMISSIONS if "switch" in entry.roles}
