"""Two guards, a guard and a person, a guard and a run: nobody fights over a cluster."""

from collections.abc import Iterator
from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.ownership import takeover
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.guard.guarding import (
    GUARD,
    LATER_S,
    NEXT_GUARD,
    READY,
    guarding,
    half_restored,
    put_pod,
    switched,
    terminated,
)
from tests.steps.kube.switching import running
from tests.steps.kube.test_adapter import OTHER, RUN, kube, put_workflow, settings, visit

Object = dict[str, Any]


pytestmark = pytest.mark.usefixtures("no_wait_for_lost_pods")


def test_second_guard_leaves_it_to_the_first_while_that_is_alive() -> None:
    calico, before = switched()
    terminated(calico)
    half_restored(calico)
    notices: list[str] = []
    assert guarding(calico, NEXT_GUARD, notices).restore_left() is None
    assert notices[-1].startswith("prod is being put back by guard guard-1 since ")
    assert running(calico) == "ebpf"
    put_pod(calico, "guard-1", "Failed", of_run=False, uid="uid-g1")
    put_pod(calico, "guard-2", "Running", of_run=False, uid="uid-g2")
    found = guarding(calico, NEXT_GUARD).restore_left()
    assert found is not None
    assert not found.first
    assert calico.settings() == before


def test_two_guards_at_once_restore_once() -> None:
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


def test_restores_of_user_and_guard_wait_for_each_other() -> None:
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
    put_pod(calico, "configure", "Running", READY)
    client, transport = direct_client(calico.store)
    states: list[str | None] = []
    ended = transport.lines

    def pod_ends(path: str, what: str, read_s: float) -> Iterator[bytes]:
        del path, what, read_s
        transport.lines = ended  # type: ignore[method-assign]
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
