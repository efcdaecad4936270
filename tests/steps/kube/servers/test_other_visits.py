"""A visit that begins while another of its run is measured, as after Argo's Retry, waits for that one's end."""

import pytest

from steps.cluster.kube.servers import other_visits, trial_servers
from steps.domain import Visit
from steps.lease import RUN_LABEL
from tests.steps.kube.bench import Bench, settings, visit
from tests.steps.kube.fakes.api import NAMESPACE
from tests.steps.kube.test_adapter import kube
from tests.steps.kube.test_adapter import visit as visit_of

VARIABLES = {"ARGO_WORKFLOW_NAME": "run"}
FIRST = visit("pod-to-pod")
SECOND = FIRST.model_copy(update={"visit": 2})


def step_pod(bench: Bench, name: str, phase: str = "Running") -> None:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {RUN_LABEL: "run"}}
    bench.store.put("", "pods", {"metadata": metadata, "spec": {"containers": [{}]}, "status": {"phase": phase}})


def waited_for(bench: Bench, own: Visit, *ends: str) -> list[str]:
    """What a visit says while it waits. At the third pause the pods named `ends` end, and the servers are cleared."""
    said: list[str] = []
    pauses = 0

    def sleep(_seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        said.append("pause")
        if ends and pauses == 3:
            for name in ends:
                step_pod(bench, name, "Succeeded")
            trial_servers.clear(bench.client)

    other_visits.await_end(bench.client, own, settings(), VARIABLES, said.append, sleep)
    return said


@pytest.fixture
def bench() -> Bench:
    """The first visit's servers, and the step that is about to switch."""
    made = Bench()
    made.prepare("pod-to-pod")
    step_pod(made, "configure")
    return made


def test_visit_waits_for_no_servers_of_its_own_and_for_none_at_all(bench: Bench) -> None:
    step_pod(bench, "measure")
    assert waited_for(bench, FIRST) == []
    trial_servers.clear(bench.client)
    assert waited_for(bench, SECOND) == []


def test_visit_waits_while_another_is_measured(bench: Bench) -> None:
    step_pod(bench, "measure")
    sentence, *pauses = waited_for(bench, SECOND, "measure")
    assert sentence == "waiting for the end of another visit, before visit 2 switches the cluster"
    assert len(pauses) == 3


def test_servers_that_nobody_cleared_are_not_waited_for_longer_than_a_step_takes_to_start(bench: Bench) -> None:
    step_pod(bench, "clear", "Failed")
    _, *pauses = waited_for(bench, SECOND)
    assert 0 < len(pauses) < other_visits._IDLE_LOOKS


def test_clear_leaves_the_servers_of_another_visit(bench: Bench) -> None:
    there = set(bench.kubelet.pods())
    cluster = kube(bench.calico)
    cluster.clear(visit_of("iptables").model_copy(update={"visit": 2}))
    assert set(bench.kubelet.pods()) == there
    cluster.clear(visit_of("iptables").model_copy(update={"visit": 1}))
    assert set(bench.kubelet.pods()) == {"configure"}
