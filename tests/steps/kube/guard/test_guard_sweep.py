"""What a run leaves that died before it held the lock: the guard deletes it, and nothing else."""

import itertools
from typing import Any

import pytest

from steps.lease import PART_LABEL
from steps.tasks import guard
from steps.tasks.guarding.guard_lock import GuardApiError
from steps.tasks.guarding.guard_sweep import sweep
from tests.steps.kube.fakes.api import NAMESPACE
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.guard.guarding import StoreApi, switched
from tests.steps.kube.test_adapter import RUN, put_workflow

Object = dict[str, Any]
NAME, UID = RUN["ARGO_WORKFLOW_NAME"], RUN["ARGO_WORKFLOW_UID"]


def put(calico: Calico, name: str, *, plural: str = "pods", part: str = "check", owner: str = UID, **more: str) -> None:
    labels = {"app.kubernetes.io/name": "dataplane-benchmark", **({PART_LABEL: part} if part else {})}
    metadata: Object = {"namespace": NAMESPACE, "name": name, "labels": labels, **more}
    if owner:
        metadata["ownerReferences"] = [{"kind": "Workflow", "name": NAME, "uid": owner}]
    calico.store.put("", plural, {"metadata": metadata, "spec": {"containers": [{}]}, "status": {"phase": "Running"}})


def left(calico: Calico) -> set[str]:
    return {
        f"{plural} {found['metadata']['name']}"
        for plural in ("pods", "services")
        for found in calico.store.all("", plural, NAMESPACE)
    }


@pytest.fixture
def calico() -> Calico:
    """A preflight's pods and Service; and what is a deployment's, a person's, the guard's and a step's."""
    made = Calico()
    put(made, "check-0")
    put(made, "check-1")
    put(made, "balanced", plural="services", part="reach")
    put(made, "deployed", part="deployment")
    put(made, "guard-1", part="guard")
    put(made, "by-hand", owner="")
    put(made, "run-1-preflight", part="")
    return made


KEPT = {"pods deployed", "pods guard-1", "pods by-hand", "pods run-1-preflight"}
OF_RUN = {"pods check-0", "pods check-1", "services balanced"}


@pytest.mark.parametrize("phase", ["Failed", "Error", "Succeeded", None])
def test_pods_and_services_of_a_run_that_ended_or_is_gone_are_deleted(calico: Calico, phase: str | None) -> None:
    if phase is not None:
        put_workflow(calico, phase=phase)
    else:
        calico.store.take("argoproj.io", "workflows", NAMESPACE, NAME)
    assert guard.watch(StoreApi(calico), {}, lambda *_: 1) == 0, "there is nothing to put back"
    assert left(calico) == KEPT


def test_those_of_a_run_at_work_stay(calico: Calico) -> None:
    put_workflow(calico, phase="Running")
    before = len(calico.store.requests)
    assert sweep(StoreApi(calico)) == []
    asked = [one.plural for one in calico.store.requests[before:]]
    assert asked == ["pods", "workflows", "services"], "once about a workflow"
    assert left(calico) == KEPT | OF_RUN


def test_those_of_another_workflow_of_the_name_stay(calico: Calico) -> None:
    put_workflow(calico, phase="Running")
    put(calico, "check-0", owner="another")
    assert sweep(StoreApi(calico)) == ["pods check-0"]
    assert left(calico) == (KEPT | OF_RUN) - {"pods check-0"}


def test_nothing_is_swept_beside_a_run_that_holds_the_lock() -> None:
    calico, _before = switched()
    put(calico, "check-0", owner="another")
    api = StoreApi(calico)
    times = itertools.count(0.0, 1800.0)
    assert guard.watch(api, {}, lambda *_: 0, lambda _s: None, times.__next__) == 0
    assert "pods check-0" in left(calico)


def test_refused_sweep_is_a_sentence(calico: Calico, capsys: pytest.CaptureFixture[str]) -> None:
    api = StoreApi(calico)
    look_at = api.get

    def get(path: str, accept: str = "") -> Object | None:
        if "pods" in path:
            raise GuardApiError("the API server refused GET.")
        return look_at(path, accept)

    api.get = get  # type: ignore[method-assign]
    assert guard.watch(api, {}, lambda *_: 0) == 1
    assert capsys.readouterr().err == "the API server refused GET.\n"
