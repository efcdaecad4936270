"""Argo's Retry repeats the steps of a visit that a Stop cut short beside those of the next one, which has switched."""

import pytest

from analysis.errors import Problem
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED, TRIALS
from steps.domain import Moment
from tests.steps.kube.fakes.api import NAMESPACE
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.test_adapter import holder, put_workflow, settings, visit

EARLIER = visit("ebpf")
LATER = visit("ebpf-dsr").model_copy(update={"visit": 2})


@pytest.fixture
def calico() -> Calico:
    """Where the first visit was put back, and the second has begun."""
    made = Calico()
    run = holder(made)
    run.configure(EARLIER, settings())
    run.restore()
    put_workflow(made, nodes={name: {"templateName": name, "phase": "Succeeded"} for name in ("preflight", "snapshot")})
    run.configure(LATER, settings("ebpf-dsr"))
    return made


@pytest.mark.parametrize("moment", ["before", "after"])
def test_it_is_not_proven_beside_the_next(calico: Calico, moment: Moment) -> None:
    said = r"visit 2 has begun since, so ebpf-dsr runs now.* submit a run that measures ebpf\."
    with pytest.raises(Problem, match=said):
        holder(calico).observe(EARLIER, moment)


@pytest.mark.parametrize("reason", [None, "the kernel is too old"])
def test_its_way_back_leaves_the_next_one_switched(calico: Calico, reason: str | None) -> None:
    switched = calico.settings()
    assert holder(calico).retreat(EARLIER, reason) == []
    assert calico.settings() == switched
    assert holder(calico).retreat(LATER, None), "which has a way back of its own"
    assert calico.settings() != switched


def put_server(calico: Calico) -> None:
    labels = {NAME: NAMED, LABEL: TRIALS}
    server = {"metadata": {"name": "server", "namespace": NAMESPACE, "labels": labels}, "spec": {}, "status": {}}
    calico.store.put("", "pods", server)


def is_kept(calico: Calico) -> bool:
    found = calico.store.find("", "pods", NAMESPACE, "server")
    return found is not None and not found["metadata"].get("deletionTimestamp")


def test_its_end_leaves_the_servers_of_the_next(calico: Calico) -> None:
    put_server(calico)
    holder(calico).clear(EARLIER)
    assert is_kept(calico)
    holder(calico).clear(LATER)
    assert not is_kept(calico)


def test_end_before_any_visit_switched_leaves_nothing() -> None:
    calico = Calico()
    run = holder(calico)
    put_server(calico)
    run.clear(EARLIER)
    assert not is_kept(calico)
