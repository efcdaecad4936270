"""What is found after a run that a fault of the matrix struck."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import BadInput, Unsupported
from analysis.store.store import Store
from benchmarks.chaos import before_and_after, moments, waits
from benchmarks.chaos.outcomes import PointOutcome
from benchmarks.chaos.points import Point
from benchmarks.chaos.runner import NotAsBeforeError, Runner
from benchmarks.chaos.strikes import Strikes
from steps.cluster.kube.adapter import KubernetesCluster
from tests.steps.kube.fakes.api import NAMESPACE
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.test_adapter import OF_TEMPLATE, PREFLIGHT, kube, visit
from tests.steps.kube.test_adapter import settings as chosen
from tests.workflows.fake_argo import person
from tests.workflows.submission.fake_run import RUN, UID, Status
from workflows.deployment.user_client import UserClient
from workflows.submission import submit


def point(name: str, visit: int | None = None) -> Point:
    fault, _, moment = name.partition("@")
    step, _, part = moment.partition(".")
    return Point(fault, step, part, visit, 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "phase", "progress", "written", "come"),
    [
        ("created", "Pending", "0/1", False, True),
        ("running", "Pending", "0/1", False, False),
        ("running", "Running", "0/1", False, True),
        ("written", "Running", "0/1", False, False),
        ("written", "Running", "0/1", True, True),
        ("progressed", "Running", "0/4", False, False),
        ("progressed", "Running", "1/4", False, True),
        ("ended", "Running", "0/1", False, False),
        ("ended", "Failed", "0/1", False, True),
        ("running", "Succeeded", "0/1", False, True),
    ],
)
def test_chaos_strikes_at_a_part_of_a_step(part: str, phase: str, progress: str, written: bool, come: bool) -> None:  # noqa: FBT001
    run = Status()
    inputs = {"visit": "02"}
    run.node("a", "configure", phase=phase, inputs=inputs, progress=progress)
    found = run.workflow()
    for visit_, expected in ((2, come), (1, False)):
        asked = point(f"stop@configure.{part}", visit_)
        assert (moments.node_of(found, asked, written=written) is not None) == expected
    assert moments.at_work(found) == ("configure" if phase in {"Pending", "Running"} else "nothing")


class Cluster:
    """A cluster where a submitted run switches to eBPF, and is put back by nothing unless `guard` is."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, guard: bool, calico: Calico | None = None
    ) -> None:
        monkeypatch.setattr(submit, "choose_name", lambda: RUN)
        monkeypatch.setattr(submit, "create_run", self._create)
        monkeypatch.setattr(waits, "_PAUSE_S", 25.0)  # the clock is the test's, and each look costs
        self.calico = calico or Calico()
        self.before = self.calico.settings()
        self.guard = guard
        self.client: UserClient = person(self.calico.store, NAMESPACE)
        self.looks = 0
        self.waited_s = 0.0
        self.ends_at: int | None = None
        """The look at which its run has come to its end, whatever struck it."""
        self.runner = Runner(
            self.client,
            Store(str(folder)),
            Strikes(self.client, {}),
            lambda _point: {},
            folder / "before.json",
            lambda: kube(self.calico).restore_for_user(),
            lambda _sentence: None,
            sleep=self._sleep,
            clock=lambda: self.waited_s,
        )

    def run(self, alone: Point) -> PointOutcome:
        """The outcome of a point that has a run of its own."""
        (found,) = self.runner.run([alone], 3)
        return found

    def _create(self, *_given: object) -> None:
        self._put("Running", Status())

    def _put(self, phase: str, run: Status) -> None:
        status = {"phase": phase, "nodes": {**PREFLIGHT, **run.nodes}}
        labels = {"workflows.argoproj.io/completed": "false" if phase == "Running" else "true"}
        metadata = {"namespace": NAMESPACE, "name": RUN, "uid": UID, "labels": labels}
        self.calico.store.put("argoproj.io", "workflows", {"metadata": metadata, "spec": OF_TEMPLATE, "status": status})

    def _own(self) -> KubernetesCluster:
        return kube(self.calico, {"ARGO_WORKFLOW_NAME": RUN, "ARGO_WORKFLOW_UID": UID})

    def _end(self, found: dict[str, Any]) -> None:
        """At once by Terminate; by Stop, and without, the exit handler puts the cluster back."""
        if found["spec"].get("shutdown") == "Terminate":
            self._put("Failed", Status())
        elif not moments.puts_back(found):
            handler = Status()
            handler.node("onExit.restore", "restore")
            found["status"]["nodes"] = {**PREFLIGHT, **handler.nodes}
        else:
            self._own().restore()
            self._put("Failed", Status())

    @property
    def pressed(self) -> int:
        """How often somebody pressed a button of the run."""
        return sum((one.verb, one.plural) == ("patch", "workflows") for one in self.calico.store.requests)

    def _sleep(self, seconds: float) -> None:
        """Time passes, and Argo and the guard go on."""
        self.looks += 1
        self.waited_s += seconds
        found = self.calico.store.find("argoproj.io", "workflows", NAMESPACE, RUN)
        if found is None or found["status"]["phase"] != "Running":
            if self.guard and self.waited_s > 60:
                kube(self.calico, {"ARGO_WORKFLOW_NAME": "guard"}).restore()
            return
        if found["spec"].get("shutdown") or self.looks == self.ends_at:
            self._end(found)
            return
        run = Status()
        run.node("a", "configure", inputs={"visit": "01"})
        self._put("Running", run)
        if self.looks > 2:
            self._own().snapshot()
            self._own().configure(visit("ebpf"), chosen())


@pytest.mark.parametrize("fault", ["terminate", "delete", "stop", "stop-twice"])
@pytest.mark.parametrize("guard", [True, False])
def test_chaos_finds_what_a_run_leaves(
    fault: str,
    guard: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=guard)
    found = cluster.run(point(f"{fault}@configure.written", 1))
    assert found.struck_at == "configure"
    assert cluster.looks >= 3, "it waited until the switch had written"
    assert cluster.calico.settings() == cluster.before, "what the bar missed is put back for the next point"
    assert cluster.pressed == {"delete": 0, "stop-twice": 2}.get(fault, 1)
    assert found.took_s is not None
    assert found.took_s == cluster.waited_s
    assert found.took_s >= (found.moment_s or 0) + (found.end_s or 0) + (found.back_s or 0) > 0
    if guard or fault.startswith("stop"):
        assert found.misses == []
        assert found.back_s is not None
    else:
        assert found.misses == ["objects differ", "not as before within 180 s"]
        assert found.changed == (
            "ConfigMap kube-system/kubernetes-services-endpoint",
            "DaemonSet kube-system/kube-proxy",
            "FelixConfiguration default",
        )
        assert RUN in str(found.lock)


def test_chaos_waits_for_the_run_of_a_session_that_was_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=True)
    metadata = {"namespace": NAMESPACE, "name": "before", "labels": {"workflows.argoproj.io/completed": "false"}}
    cluster.calico.store.put("argoproj.io", "workflows", {"metadata": metadata, "spec": {}, "status": {}})
    ends_at = 3

    def time_passes(seconds: float) -> None:
        if cluster.looks == ends_at:
            cluster.calico.store.take("argoproj.io", "workflows", NAMESPACE, "before")
        cluster._sleep(seconds)

    made: list[int] = []

    def create(*_given: object) -> None:
        made.append(cluster.looks)
        cluster._create()

    monkeypatch.setattr(submit, "create_run", create)
    cluster.runner._waits.sleep = time_passes
    assert cluster.run(point("stop@configure.written", 1)).misses == []
    assert made == [ends_at + 1], "it was submitted when the other had ended"
    monkeypatch.setattr(waits, "LONGEST_RUN_S", 50.0)
    ends_at = -1
    cluster.calico.store.put("argoproj.io", "workflows", {"metadata": metadata, "spec": {}, "status": {}})
    with pytest.raises(NotAsBeforeError, match="run before is at work for more than 50 s: stop it"):
        cluster.run(point("stop@configure.written", 1))


def test_node_that_is_not_ready_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=True)
    read, refusals = before_and_after.objects, iter(range(2))

    def objects(client: UserClient) -> dict[str, Any]:
        if cluster.pressed and next(refusals, None) is not None:
            raise Unsupported("two nodes are needed, and 1 of 2 is ready")
        return read(client)

    monkeypatch.setattr(before_and_after, "objects", objects)
    found = cluster.run(point("stop@configure.written", 1))
    assert found.misses == []
    assert next(refusals, None) is None


def test_chaos_tries_no_point_on_a_locked_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=False)
    kube(cluster.calico).configure_for_user("ebpf")
    with pytest.raises(NotAsBeforeError, match=r"the first point: lock of .*`make restore ENVIRONMENT=prod`"):
        cluster.run(point("stop@configure.running", 1))


def test_pods_are_left_where_they_are_ours_and_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=False)
    labels = {"app.kubernetes.io/name": "dataplane-benchmark"}

    def part(name: str) -> dict[str, str]:
        return {**labels, "dataplane-benchmark/part": name}

    for name, own, phase in (
        ("trial", part("trials"), "Succeeded"),
        ("step", labels, "Running"),
        ("ended-step", labels, "Succeeded"),
        ("deployed", part("deployment"), "Running"),
    ):
        meta = {"name": name, "namespace": NAMESPACE, "labels": own}
        cluster.calico.store.put("", "pods", {"metadata": meta, "spec": {}, "status": {"phase": phase}})
    with pytest.raises(NotAsBeforeError, match=r"before the first point: Pod step; Pod trial\. Put"):
        cluster.run(point("stop@configure.running", 1))


def test_points_of_one_run_are_judged_together_but_for_one_that_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=True)
    first, last = point("pod-deleted@configure.running", 1), point("stop@configure.written", 2)
    status_of = cluster._put

    def put(phase: str, run: Status) -> None:
        if phase == "Running" and cluster.looks > 1:
            run.node("b", "preflight", phase="Succeeded")
            run.node("c", "configure", inputs={"visit": "02"})
        status_of(phase, run)

    monkeypatch.setattr(cluster, "_put", put)
    found = list(cluster.runner.run([first, point("pod-deleted@preflight.running"), last], 3))
    assert [(one.point, one.beside) for one in found] == [(first.name, (last.name,)), (last.name, (first.name,))]
    assert [one.misses for one in found] == [[], []]
    assert {one.run for one in found} == {RUN}
    assert sum(one.took_s or 0 for one in found) == pytest.approx(cluster.waited_s)
    assert cluster.pressed == 1


@pytest.mark.parametrize("fault", ["retry", "stop-twice"])
def test_nothing_is_pressed_on_a_run_that_ended_before_its_point(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=False)
    cluster.ends_at = 5

    def end_is_seen(seconds: float) -> None:
        cluster.ends_at = max(5, cluster.looks + 1)
        cluster._sleep(seconds)

    cluster.runner._waits.sleep = end_is_seen
    found = cluster.run(point(f"{fault}@clear.running", 1))
    assert found.verdict == "not struck"
    assert cluster.pressed == 0


def test_run_that_ends_in_the_delay_is_not_struck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=False)
    late = replace(point("terminate@configure.running", 1), delay_s=7.5)

    def sleep(seconds: float) -> None:
        if seconds == late.delay_s:
            cluster._put("Failed", Status())
        cluster._sleep(seconds)

    cluster.runner._waits.sleep = sleep
    assert cluster.run(late).verdict == "not struck"
    assert cluster.pressed == 0


@pytest.mark.parametrize("fault", ["retry", "stop-twice"])
def test_run_that_succeeds_despite_a_stop_is_not_taken_for_struck(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last pod was over; Argo refuses to retry what succeeded."""
    cluster = Cluster(tmp_path, monkeypatch, guard=False)

    def succeed(_found: object) -> None:
        cluster._own().restore()
        cluster._put("Succeeded", Status())

    monkeypatch.setattr(cluster, "_end", succeed)
    assert cluster.run(point(f"{fault}@configure.running", 1)).verdict == "without effect"
    assert cluster.pressed == 1


def test_later_session_compares_with_the_objects_from_before_the_first_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Cluster(tmp_path, monkeypatch, guard=True)
    assert first.run(point("stop@configure.written", 1)).misses == []
    second = Cluster(tmp_path, monkeypatch, guard=True, calico=first.calico)
    second.calico.felix["spec"]["bpfLogLevel"] = "Debug"  # as the first would have been left
    changed = r"first point: FelixConfiguration default\. Put .* delete .*before\.json"
    with pytest.raises(NotAsBeforeError, match=changed):
        second.run(point("stop@settle.running", 1))
    (tmp_path / "before.json").write_text("[")
    with pytest.raises(BadInput, match=r"before\.json can't be read .*: delete it"):
        second.run(point("stop@settle.running", 1))
