"""A process that was stopped for a while writes nothing by the plan that it made before."""

from collections.abc import Callable
from typing import Any

import pytest

from analysis.errors import Unsupported
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.permissions import CONFIGMAPS, KUBE_SYSTEM, STATE
from steps.cluster.kube.ownership import lock, takeover
from steps.cluster.kube.ownership.owner import current_owner
from steps.cluster.kube.plugins.calico import restore
from steps.domain import Visit
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.guard.guarding import GUARD, LATER_S, NEXT_GUARD, half_restored, put_pod, switched, terminated
from tests.steps.kube.switching import around, held, quiet, running
from tests.steps.kube.test_adapter import OTHER, RUN, kube, put_workflow, settings, visit

Object = dict[str, Any]

pytestmark = pytest.mark.usefixtures("no_wait_for_lost_pods")

BEGUN = {name: {"templateName": name, "phase": "Succeeded"} for name in ("preflight", "snapshot")}


def second(dataplane: str) -> Visit:
    return visit(dataplane).model_copy(update={"visit": 2})


def put_back_half() -> tuple[Calico, Object]:
    """A guard puts back what a silent run left; then the run's controller is there again."""
    calico, before = switched()
    calico.store.advance(LATER_S)
    half_restored(calico)
    put_workflow(calico, nodes=BEGUN)
    return calico, before


def restorer(calico: Calico) -> object:
    found = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert found is not None
    return found["data"].get("restorer")


def writer(
    calico: Calico, variables: dict[str, str], meddle: Callable[[str], None]
) -> tuple[KubernetesCluster, list[str]]:
    """A process to whom something happens just before a patch of an object of the switch, once."""
    client, transport = direct_client(calico.store)
    done: list[str] = []

    def once(path: str) -> None:
        if f"/{STATE}?" not in path and not done:
            done.append(path)
            meddle(path)

    transport.meddle = once
    made = KubernetesCluster(
        "prod", client=client, variables=variables, say=quiet, sleep=calico.store.advance, gate_s=0
    )
    return made, done


def test_retreat_leaves_the_mark_of_a_living_guard() -> None:
    calico, _ = put_back_half()
    with pytest.raises(Unsupported, match="is being put back by guard guard-1"):
        kube(calico, RUN).retreat(visit("ebpf"), None)
    with pytest.raises(Unsupported, match="is being put back by guard guard-1"):
        kube(calico, RUN).retreat(visit("ebpf"), "node-b: Felix fell back")
    assert "guard-1" in str(restorer(calico))


def test_run_goes_on_where_the_guard_has_died() -> None:
    calico, _before = put_back_half()
    put_pod(calico, "guard-1", "Failed", of_run=False, uid="uid-g1")
    assert kube(calico, RUN).retreat(visit("ebpf"), None)
    assert running(calico) == "iptables"
    assert restorer(calico) is None


def test_mark_made_while_a_switch_is_planned_stays() -> None:
    calico, _ = switched()
    put_workflow(calico, nodes=BEGUN)
    calico.store.advance(LATER_S)
    client, transport = direct_client(calico.store)
    call = transport.call
    seen: list[str] = []

    def meddled(method: str, path: str, *given: Any, **more: Any) -> Any:  # noqa: ANN401 - the call's own
        if method == "GET" and "daemonsets" in path and not seen:
            seen.append(path)
            half_restored(calico)
        return call(method, path, *given, **more)

    transport.call = meddled  # type: ignore[method-assign]
    run = KubernetesCluster("prod", client=client, variables=RUN, say=quiet, sleep=calico.store.advance, gate_s=0)
    with pytest.raises(Unsupported, match="is being put back by guard guard-1"):
        run.configure(second("nftables"), settings())
    assert seen
    assert running(calico) == "ebpf"
    assert "guard-1" in str(restorer(calico))


def test_switch_ends_where_a_guard_begins_between_its_writes() -> None:
    calico = Calico()
    put_workflow(calico)
    kube(calico, RUN).snapshot()

    def silent(_path: str) -> None:
        terminated(calico)
        half_restored(calico)

    run, done = writer(calico, RUN, silent)
    with pytest.raises(Unsupported, match="is being put back by guard guard-1"):
        run.configure(visit("ebpf"), settings())
    assert done
    assert "guard-1" in str(restorer(calico))


@pytest.mark.parametrize("number", range(5))
def test_restore_of_a_person_whose_machine_slept_disturbs_no_later_run(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write it slept before."""
    calico, before = switched()
    terminated(calico)
    put_workflow(calico, OTHER, nodes=BEGUN)
    check, checks = lock.require_right, 0

    def sleeps(*given: Any) -> None:  # noqa: ANN401 - the call's own
        nonlocal checks
        checks += 1
        if checks == number:
            monkeypatch.setattr(lock, "require_right", check)
            calico.store.advance(takeover.PERSONS_RESTORE_S + 60)
            night = kube(calico, OTHER)
            night.restore()
            assert calico.settings() == before
            night.snapshot()
            night.configure(visit("ebpf"), settings())
        check(*given)

    monkeypatch.setattr(lock, "require_right", sleeps)
    if not number:
        kube(calico).restore_for_user()
        assert calico.settings() == before
        assert checks == 4, "the numbers of this test reach every write, and the look at them all"
        return
    with pytest.raises(Unsupported, match="is held by workflow bench/run-2"):
        kube(calico).restore_for_user()
    assert running(calico) == "ebpf"
    assert not calico.kube_proxy_pods
    assert held(calico)


def test_lock_stays_where_another_has_taken_over_the_restore() -> None:
    calico, _ = switched()
    terminated(calico)
    client, _transport = direct_client(calico.store)
    guard = current_owner(NAMESPACE, GUARD)

    def killed_and_followed() -> None:
        put_pod(calico, "guard-1", "Failed", of_run=False, uid="uid-g1")
        put_pod(calico, "guard-2", "Running", of_run=False, uid="uid-g2")
        other, _ = direct_client(calico.store)
        assert takeover.may_restore(other, current_owner(NAMESPACE, NEXT_GUARD), quiet, insist=False)

    assert takeover.may_restore(client, guard, quiet, insist=False)
    with pytest.raises(Unsupported, match="is being put back by guard guard-2"):
        restore.restore(around(calico, client, guard), killed_and_followed)
    assert held(calico)


def test_lock_that_changed_after_it_was_read_is_not_deleted() -> None:
    calico, _ = switched()
    client, _transport = direct_client(calico.store)
    found = lock.find_lock(client)
    assert found is not None
    client.patch(CONFIGMAPS, STATE, {"metadata": {"labels": {"by": "another"}}}, KUBE_SYSTEM)
    with pytest.raises(ConflictError, match="does not match the ResourceVersion in record"):
        client.delete(CONFIGMAPS, STATE, KUBE_SYSTEM, uid=found.uid, version=found.version)
    lock.release_lock(client, found, found.owner)
    assert not held(calico)
    lock.release_lock(client, found, found.owner)
