"""Runs and guards that are killed at any call: the next guard, or the next run, puts the cluster back."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from analysis.errors import Unsupported
from steps.cluster.kube.adapter import KubernetesCluster
from steps.lease import PART, POD_NAME, POD_UID
from tests.steps.kube.calico.switching.test_order import INSTALLS
from tests.steps.kube.fakes.api import NAMESPACE, KilledError, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.ownership.test_takeover import left_by_a_dead_run
from tests.steps.kube.switching import held
from tests.steps.kube.test_adapter import OTHER, RUN, kube, put_workflow, settings, visit

GUARD = {POD_NAME: "guard-1", POD_UID: "uid-guard-1"}
NEXT_GUARD = {POD_NAME: "guard-2", POD_UID: "uid-guard-2"}
Work = Callable[[KubernetesCluster], object]


def killed(calico: Calico, variables: dict[str, str], work: Work, at: int, *, late: bool) -> bool:
    """Whether the work of this process was killed at this write; otherwise it has ended before."""
    client, transport = direct_client(calico.store)
    transport.kill_at, transport.kill_after_write = at, late
    cluster = KubernetesCluster(
        "prod", client=client, variables=variables, say=lambda _s: None, sleep=calico.store.advance, gate_s=0
    )
    with suppress(KilledError):
        work(cluster)
        return False
    return True


def put_back(cluster: KubernetesCluster) -> object:
    """What a guard does, or the preflight of a run."""
    return cluster.restore_left() if cluster._owner.is_guard else cluster.restore()


def run(dataplane: str) -> Work:
    """What a run does until its first switch is made."""

    def begin(cluster: KubernetesCluster) -> None:
        cluster.snapshot()
        cluster.configure(visit(dataplane), settings())

    return begin


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("dataplane", ["ebpf-dsr", "nftables"])
@pytest.mark.parametrize("install", INSTALLS)
def test_run_killed_at_any_call_is_put_back_by_the_guard(install: str, dataplane: str, *, late: bool) -> None:
    at = 0
    while True:
        calico = INSTALLS[install]()
        before = calico.settings()
        put_workflow(calico)
        if not killed(calico, RUN, run(dataplane), at, late=late):
            break
        assert put_back(kube(calico, GUARD)) is None, "its workflow is alive, for all that anybody knows"
        put_workflow(calico, phase="Failed")
        put_back(kube(calico, GUARD))
        assert calico.settings() == before, f"killed at write {at}"
        assert not held(calico), f"killed at write {at}"
        assert len(calico.kube_proxy_pods) == 2
        assert calico.disturbed == [], f"killed at write {at}"
        at += 1
    assert at >= 4


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("first", "second"), [(GUARD, NEXT_GUARD), (GUARD, OTHER), (OTHER, GUARD)], ids=["guards", "guard-run", "run-guard"]
)
def test_restore_killed_at_any_call_is_finished_by_another(
    first: dict[str, str], second: dict[str, str], *, late: bool
) -> None:
    at = 0
    while True:
        calico, before = left_by_a_dead_run("ebpf-dsr")
        if not killed(calico, first, put_back, at, late=late):
            break
        put_workflow(calico, OTHER, phase="Error" if first is OTHER else "Running")
        put_back(kube(calico, second))
        assert calico.settings() == before, f"killed at write {at}"
        assert not held(calico), f"killed at write {at}"
        assert len(calico.kube_proxy_pods) == 2
        at += 1
    assert at >= 4


def test_user_waits_for_a_guard_that_restores() -> None:
    calico, before = left_by_a_dead_run("ebpf-dsr")
    assert killed(calico, GUARD, put_back, 1, late=False), "it has begun, and is at work as long as its pod is"
    labels = {"dataplane-benchmark/part": PART}
    pod = {"metadata": {"name": "guard-1", "namespace": NAMESPACE, "uid": GUARD[POD_UID], "labels": labels}}
    calico.store.put("", "pods", {**pod, "spec": {}, "status": {"phase": "Running"}})
    with pytest.raises(Unsupported, match=r"is being put back by guard guard-1 since .*: wait until that has ended"):
        kube(calico).restore_for_user()
    calico.store.take("", "pods", NAMESPACE, "guard-1")
    assert kube(calico).restore_for_user()
    assert calico.settings() == before
