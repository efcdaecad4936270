"""The first step of a visit is up beside the visit before it, and waits until that one is over."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from steps.cluster.kube.servers import other_visits, trial_servers
from steps.cluster.kube.workloads import step_pods
from steps.domain import Visit
from steps.lease import RUN_LABEL
from tests.steps.kube.bench import Bench, settings, visit
from tests.steps.kube.fake_api import NAMESPACE
from tests.steps.kube.test_adapter import kube
from tests.steps.kube.test_adapter import visit as visit_of
from workflows.template.benchmark import build_template

Object = dict[str, Any]
VARIABLES = {"ARGO_WORKFLOW_NAME": "run"}
FIRST = visit("pod-to-pod")
SECOND = FIRST.model_copy(update={"visit": 2})
AT_ONCE_S = 0.0
NEVER_S = 3600.0


def pod(name: str, phase: str = "Running", *, exit_code: int | None = None, visit: int = 1, second: int = 0) -> Object:
    """A pod of a visit's task, such as `settle(0)`; `exit_code`: of its program, which has ended."""
    item = f"visit({visit - 1}:dataplane:ebpf,round:1,title:visit-{visit}.ebpf.round-1,visit:0{visit})"
    metadata = {
        "name": f"run-{visit}-{name}".replace("(", "-").replace(")", ""),
        "namespace": NAMESPACE,
        "labels": {RUN_LABEL: "run"},
        "annotations": {"workflows.argoproj.io/node-name": f"run.rounds.{item}.{name}"},
        "creationTimestamp": f"2026-11-28T02:{visit:02d}:{second:02d}Z",
    }
    state = {"running": {}} if exit_code is None else {"terminated": {"exitCode": exit_code}}
    containers = [{"name": "wait", "state": {"running": {}}}, {"name": "main", "state": state}]
    return {
        "metadata": metadata,
        "spec": {"containers": [{}]},
        "status": {"phase": phase, "containerStatuses": containers},
    }


OWN = pod("configure", visit=2)
BEFORE = pod("configure", "Succeeded", exit_code=0)
PROVEN = pod("settle(0)", "Succeeded", exit_code=0, second=1)
UNPROVEN = pod("settle(0)", "Failed", exit_code=1, second=1)
CLEARED = pod("clear", "Succeeded", exit_code=0, second=1)
NOT_CLEARED = pod("clear", "Failed", exit_code=1, second=1)


@pytest.mark.parametrize(
    ("pods", "over"),
    [
        ([BEFORE], False),
        ([BEFORE, PROVEN], False),
        ([BEFORE, PROVEN, CLEARED], True),
        ([PROVEN, CLEARED], True),
        ([CLEARED], True),
        ([BEFORE, PROVEN, pod("clear", exit_code=0)], True),
        ([BEFORE, PROVEN, pod("clear", exit_code=1)], False),
        ([BEFORE, PROVEN, NOT_CLEARED], False),
        ([BEFORE, PROVEN, NOT_CLEARED, pod("clear-again", "Succeeded", exit_code=0)], True),
        ([BEFORE, UNPROVEN, CLEARED], False),
        ([BEFORE, UNPROVEN, CLEARED, pod("retreat(0)", "Succeeded", exit_code=0)], True),
        ([BEFORE, UNPROVEN, CLEARED, pod("retreat(0)", "Failed")], False),
        ([BEFORE, UNPROVEN, pod("settle(1)", "Succeeded", exit_code=0, second=2), CLEARED], True),
        ([pod("configure", "Failed", exit_code=1), CLEARED], True),
    ],
)
def test_visit_is_over_when_it_was_cleared_and_left_unless_proven(pods: list[Object], over: bool) -> None:  # noqa: FBT001
    assert other_visits.is_over([OWN, *pods], unknown=not over) is over


@pytest.mark.parametrize("unknown", [True, False])
def test_without_another_visits_pods_it_is_told_by_the_servers(unknown: bool) -> None:  # noqa: FBT001
    measured = pod("measure(0:title:a.b,what:host-network)", "Succeeded", exit_code=0)
    assert other_visits.is_over([OWN], unknown=unknown) is unknown
    assert other_visits.is_over([OWN, measured], unknown=unknown) is unknown


def test_the_visit_before_counts_and_none_before_that() -> None:
    third = pod("configure", visit=3)
    assert not other_visits.is_over([third, UNPROVEN, CLEARED, pod("settle(0)", "Succeeded", visit=2)], unknown=True)
    cleared = pod("clear", "Succeeded", exit_code=0, visit=2)
    assert other_visits.is_over([third, UNPROVEN, pod("configure", "Succeeded", visit=2), cleared], unknown=False)


def test_tasks_by_which_the_end_is_seen_are_the_workflows() -> None:
    (dag,) = (t["dag"] for t in build_template().to_dict()["spec"]["templates"] if t["name"] == "visit")
    seen = {getattr(other_visits, name) for name in ("FIRST", "PROOF", "RETREAT", "LAST", "LAST_AGAIN")}
    assert seen <= {task["name"] for task in dag["tasks"]}
    assert next(task["name"] for task in dag["tasks"] if not task.get("depends")) == other_visits.FIRST


def put(bench: Bench, *pods: Object) -> None:
    for each in pods:
        bench.store.put("", "pods", each)


class Waiting:
    """A visit that waits in a thread of its own. `said`: its sentences."""

    def __init__(self, bench: Bench, own: Visit = SECOND, idle_s: float = NEVER_S) -> None:
        self.said: list[str] = []
        self._told = threading.Event()

        def say(sentence: str) -> None:
            self.said.append(sentence)
            self._told.set()

        def wait() -> None:
            other_visits.await_end(bench.client, own, settings(), VARIABLES, say, idle_s)

        self._thread = threading.Thread(target=wait, daemon=True)
        self._thread.start()

    def has_begun(self) -> bool:
        return self._told.wait(10)

    def goes_on(self) -> bool:
        self._thread.join(10)
        return not self._thread.is_alive()

    @property
    def waits(self) -> bool:
        self._thread.join(0.2)
        return self._thread.is_alive()


@pytest.fixture
def bench() -> Bench:
    """The first visit's servers, and the step that is about to switch."""
    made = Bench()
    made.prepare("pod-to-pod")
    put(made, OWN, BEFORE)
    return made


def test_first_visit_waits_for_none() -> None:
    own = Bench()
    put(own, pod("configure"))
    waiting = Waiting(own, FIRST)
    assert waiting.goes_on()
    assert waiting.said == []


def test_user_waits_for_none(bench: Bench) -> None:
    other_visits.await_end(bench.client, SECOND, settings(), {}, pytest.fail)


@pytest.mark.parametrize(
    "at_work", ["measure(0:title:a,what:host-network)", "settle(0)", "retreat(0)", "clear", "scale"]
)
def test_visit_waits_for_each_step_of_the_one_before(bench: Bench, at_work: str) -> None:
    put(bench, CLEARED, PROVEN, pod(at_work))
    waiting = Waiting(bench)
    assert waiting.has_begun()
    assert waiting.said == ["ready: visit 2 begins when the visit before it is over"]
    assert waiting.waits
    put(bench, pod(at_work, "Succeeded", exit_code=0))
    assert waiting.goes_on()


def test_visit_waits_for_no_artifact_of_the_last_step(bench: Bench) -> None:
    put(bench, PROVEN, pod("clear"))
    waiting = Waiting(bench)
    assert waiting.has_begun()
    put(bench, pod("clear", "Running", exit_code=0))
    assert waiting.goes_on()


def test_visit_waits_until_an_unproven_one_is_left(bench: Bench) -> None:
    put(bench, UNPROVEN, CLEARED)
    waiting = Waiting(bench)
    assert waiting.has_begun()
    assert waiting.waits, "no step is at work between settle and retreat"
    put(bench, pod("retreat(0)"))
    assert waiting.waits
    put(bench, pod("retreat(0)", "Succeeded", exit_code=0))
    assert waiting.goes_on()


def test_steps_that_never_start_are_not_waited_for_for_ever(bench: Bench) -> None:
    put(bench, NOT_CLEARED)
    assert Waiting(bench, idle_s=AT_ONCE_S).goes_on()


def test_clear_leaves_the_servers_of_another_visit(bench: Bench) -> None:
    there = set(bench.kubelet.pods())
    cluster = kube(bench.calico)
    cluster.clear(visit_of("iptables").model_copy(update={"visit": 2}))
    assert set(bench.kubelet.pods()) == there
    cluster.clear(visit_of("iptables").model_copy(update={"visit": 1}))
    assert set(bench.kubelet.pods()) == {"run-1-configure", "run-2-configure"}
    assert not trial_servers.serve_another(bench.client, SECOND)


@pytest.mark.parametrize(("phase", "waits"), [("Pending", True), ("Running", False), ("Succeeded", False)])
def test_trials_wait_for_pods_that_are_about_to_start(
    bench: Bench,
    phase: str,
    waits: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(bench, pod("configure", phase, visit=2))
    asked: list[bool] = []

    def until(
        _resource: object, _namespace: object, ready: Callable[[list[Object]], bool], *_: object, **more: str
    ) -> None:
        asked.append(ready(bench.client.list(_resource, _namespace, labels=more["labels"])))  # type: ignore[arg-type]

    monkeypatch.setattr(bench.client, "until", until)
    step_pods.await_started(bench.client, VARIABLES)
    assert asked == [not waits]
