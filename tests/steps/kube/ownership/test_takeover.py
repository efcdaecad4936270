"""A run that finds what a dead run left puts it back first and measures; of two, one does and the other waits."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import Unsupported
from steps import documents
from steps.catalogue.options import Settings
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.ownership import lock, takeover
from steps.cluster.kube.ownership.owner import LockOwner
from steps.domain import Change, Finding
from steps.tasks import preflight as task
from tests.steps.kube.fakes.api import NAMESPACE, KilledError, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.guard.guarding import LATER_S, READY, half_restored, put_pod, switched, terminated
from tests.steps.kube.switching import held, running
from tests.steps.kube.test_adapter import OTHER, holder, kube, put_workflow, settings, visit

THIRD = {"ARGO_WORKFLOW_NAME": "run-3", "ARGO_WORKFLOW_UID": "uid-3"}
ADA = LockOwner(None, None, "ada@desk")


def left_by_a_dead_run(dataplane: str = "ebpf") -> tuple[Calico, dict[str, Any]]:
    """A cluster that a run which has been terminated left switched; and its settings from before."""
    calico = Calico()
    before = calico.settings()
    holder(calico).configure(visit(dataplane), settings())
    put_workflow(calico, phase="Failed")
    for run in (OTHER, THIRD):
        put_workflow(calico, run)
    return calico, before


def run_preflight(cluster: object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> documents.Preflight:
    monkeypatch.setattr(task, "connect_cluster", lambda _environment: cluster)
    document = folder / "preflight.json"
    task.preflight(settings().model_dump_json(), document)
    return documents.read_document(document, documents.Preflight)


class Without:
    """The cluster without the findings of this fake, which stop a run for other reasons: no pod answers in it."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self._cluster = cluster

    def preflight(self, chosen: Settings) -> list[Finding]:
        return [found for found in self._cluster.preflight(chosen) if found.subject == "left behind"]

    def restore(self) -> list[Change]:
        return self._cluster.restore()

    def provenance(self, chosen: Settings) -> dict[str, object]:
        return self._cluster.provenance(chosen)


@pytest.mark.parametrize("dataplane", ["ebpf", "ebpf-dsr", "nftables"])
def test_next_run_restores_first_and_goes_on(dataplane: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calico, before = left_by_a_dead_run(dataplane)
    notices: list[str] = []
    next_run = kube(calico, OTHER, notices)
    found = run_preflight(Without(next_run), tmp_path, monkeypatch)
    assert calico.settings() == before
    assert notices[0].startswith("putting back what workflow bench/run-1 left behind at ")
    (told,) = found.findings
    assert told.reason.startswith("What a dead run had left was put back before this run: ")
    assert found.visits
    next_run.snapshot()
    assert next_run.configure(visit("ebpf"), settings())


def test_run_stops_where_the_holder_is_alive_or_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for alive in (True, False):
        calico = Calico()
        put_workflow(calico, OTHER)
        if alive:
            holder(calico).configure(visit("ebpf"), settings())
        else:
            kube(calico).configure_for_user("ebpf")
        switched = calico.settings()
        with pytest.raises(SystemExit):
            run_preflight(kube(calico, OTHER), tmp_path, monkeypatch)
        assert "cluster: prod is held by " in capsys.readouterr().err
        assert calico.settings() == switched


def test_run_without_the_permission_to_restore_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calico, _before = left_by_a_dead_run()
    switched = calico.settings()
    calico.store.denied = lambda request: request.verb == "patch"
    with pytest.raises(SystemExit):
        run_preflight(kube(calico, OTHER), tmp_path, monkeypatch)
    assert "permissions: may not patch felixconfigurations" in capsys.readouterr().err
    assert calico.settings() == switched


def killed(calico: Calico, variables: dict[str, str], at: int, *, late: bool) -> int:
    """A restore by a run that is killed at this write; how many it made."""
    client, transport = direct_client(calico.store)
    transport.kill_at, transport.kill_after_write = at, late
    cluster = KubernetesCluster(
        "prod", client=client, variables=variables, say=lambda _s: None, sleep=calico.store.advance, gate_s=0
    )
    with suppress(KilledError):
        cluster.restore()
    return transport.writes


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("dataplane", ["ebpf-dsr", "nftables"])
def test_restore_killed_at_any_call_is_finished_by_the_run_after(dataplane: str, *, late: bool) -> None:
    at = 0
    while True:
        calico, before = left_by_a_dead_run(dataplane)
        if killed(calico, OTHER, at, late=late) < at + late:
            break
        put_workflow(calico, OTHER, phase="Error")
        kube(calico, THIRD).restore()
        assert calico.settings() == before, f"killed at write {at}"
        assert not held(calico), f"killed at write {at}"
        assert len(calico.kube_proxy_pods) == 2
        at += 1
    assert at >= 4


def test_second_run_waits_while_another_restores() -> None:
    calico, before = left_by_a_dead_run()
    killed(calico, OTHER, 1, late=False)  # it has begun, and is alive
    notices: list[str] = []
    client, transport = direct_client(calico.store)

    def first_goes_on(seconds: float) -> None:
        calico.store.advance(seconds)
        kube(calico, OTHER).restore()

    third = KubernetesCluster("prod", client=client, variables=THIRD, say=notices.append, sleep=first_goes_on, gate_s=0)
    assert third.restore() == []
    assert transport.writes == 0
    assert len(notices) == 1
    assert notices[0].startswith("waiting for workflow bench/run-2, which is putting prod back since ")
    assert calico.settings() == before


def test_takeover_by_two_runs_at_once_restores_once() -> None:
    calico, before = left_by_a_dead_run()
    client, transport = direct_client(calico.store)
    began: list[str] = []

    def other_is_faster(_path: str) -> None:
        if not began:
            began.append("run-2")
            killed(calico, OTHER, 1, late=False)

    transport.meddle = other_is_faster
    notices: list[str] = []
    assert not takeover.may_restore(client, LockOwner("run-3", "bench", None, "uid-3"), notices.append, insist=False)
    assert notices[0].startswith("prod is being put back by workflow bench/run-2 since ")
    assert running(calico) == "ebpf"
    kube(calico, OTHER).restore()
    assert calico.settings() == before


def test_lock_that_goes_while_one_begins_is_no_lock() -> None:
    calico, before = left_by_a_dead_run()
    client, transport = direct_client(calico.store)

    def other_does_it_all(_path: str) -> None:
        transport.meddle = lambda _path: None
        kube(calico, OTHER).restore()

    transport.meddle = other_does_it_all
    notices: list[str] = []
    assert takeover.may_restore(client, LockOwner("run-3", "bench", None, "uid-3"), notices.append, insist=False)
    assert notices == []
    assert calico.settings() == before


def test_user_and_run_wait_for_each_others_restore() -> None:
    calico, before = left_by_a_dead_run()
    killed(calico, OTHER, 1, late=False)
    with pytest.raises(Unsupported, match=r"put back by workflow bench/run-2 since .*: wait until that has ended"):
        kube(calico).restore_for_user()
    calico, before = left_by_a_dead_run()
    client, _transport = direct_client(calico.store)
    assert takeover.may_restore(client, ADA, lambda _sentence: None, insist=True)
    started = calico.store.now()
    assert kube(calico, OTHER).restore(), "who interrupted a restore keeps no run from its night"
    waited_s = (calico.store.now() - started).total_seconds()
    assert takeover.PERSONS_RESTORE_S <= waited_s < takeover.PERSONS_RESTORE_S + 120
    assert calico.settings() == before


@pytest.mark.parametrize("since", ["2026-11-23T05:00:00Z", "2999-01-01T00:00:00Z"])
def test_restorer_of_an_earlier_lock_is_ignored(since: str) -> None:
    calico, before = left_by_a_dead_run()
    client, _transport = direct_client(calico.store)
    found = lock.find_lock(client)
    assert found is not None
    another = lock.Restorer(LockOwner("run-9", "elsewhere", None), datetime.fromisoformat(since))
    assert takeover.restorer_at_work(client, replace(found, restorer=another), ADA) is None
    assert kube(calico, OTHER).restore()
    assert calico.settings() == before


def person(calico: Calico, notices: list[str] | None = None) -> KubernetesCluster:
    """A user whose namespace is not the deployment's: that of another cluster is exported."""
    client, _transport = direct_client(calico.store)
    client.namespace = "elsewhere"
    say = notices.append if notices is not None else lambda _sentence: None
    return KubernetesCluster("prod", client=client, variables={}, say=say, sleep=calico.store.advance, gate_s=0)


def test_user_of_another_namespace_asks_about_the_run_where_it_runs() -> None:
    calico, before = switched()
    now = calico.settings()
    calico.store.advance(LATER_S)  # so that nothing but its pod shows that it is alive
    put_pod(calico, "measure", "Running", READY)
    with pytest.raises(Unsupported, match=r"held by workflow bench/run-1, which is running: stop it first.*-n bench "):
        person(calico).restore_for_user()
    assert calico.settings() == now
    terminated(calico)
    calico.store.take("", "pods", NAMESPACE, "measure")
    assert person(calico).restore_for_user()
    assert calico.settings() == before
    assert not held(calico)


@pytest.mark.parametrize("plural", ["workflows", "pods"])
def test_user_who_may_not_know_whether_the_run_lives_restores_nothing(plural: str) -> None:
    calico, _before = switched()
    calico.store.advance(LATER_S)
    now = calico.settings()
    calico.store.denied = lambda request: (request.plural, request.namespace) == (plural, NAMESPACE)
    with pytest.raises(
        Unsupported, match=r"whether it runs can't be known, so nothing is put back.*in namespace bench"
    ):
        person(calico).restore_for_user()
    assert calico.settings() == now


def test_user_of_another_namespace_waits_for_the_guard() -> None:
    calico, _before = switched()
    terminated(calico)
    half_restored(calico)
    calico.store.advance(takeover.PERSONS_RESTORE_S + 1)
    with pytest.raises(Unsupported, match=r"put back by guard guard-1 since .*: wait until that has ended"):
        person(calico).restore_for_user()


def test_lock_of_a_workflow_without_a_namespace_is_left_to_its_user() -> None:
    calico, _before = switched()
    found = calico.store.find("", "configmaps", "kube-system", "dataplane-benchmark")
    assert found is not None
    found["data"]["owner"] = json.dumps({"workflow": "run-1", "namespace": None, "person": None})
    with pytest.raises(Unsupported, match=r"the lock does not say of which namespace.*edit configmap"):
        person(calico).restore_for_user()
