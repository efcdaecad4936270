"""A run that a Stop of the matrix ended is retried, and struck again."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import BadInput, Problem, Unsupported
from benchmarks.chaos import __main__ as chaos
from benchmarks.chaos import moments
from tests.benchmarks.test_bench_chaos import Cluster, point
from tests.steps.kube.test_adapter import PREFLIGHT
from tests.workflows.submission.fake_run import RUN, Status

FIRST, SECOND = point("stop@configure.written", 1), point("stop@look.running")


class Retried(Cluster):
    """A cluster whose run comes to its second look when it is retried."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch, guard=True)
        self.retries: list[str] = []
        self.retried_at = self.second_at = 0
        monkeypatch.setattr(self.runner._strikes, "retry", self._retry)

    def _retry(self, name: str) -> None:
        self.retries.append(name)
        self.retried_at = self.looks
        self._put("Running", Status())

    def _put(self, phase: str, run: Status) -> None:
        """The first look was over before."""
        if phase == "Running" and self.retries:
            run = Status()
            run.node("b", "look", phase="Succeeded")
            if self.looks > self.retried_at + 5:
                run.node("c", "look")
        super()._put(phase, run)

    def _end(self, found: dict[str, Any]) -> None:
        if self.retries:
            self.second_at = self.second_at or self.looks
        super()._end(found)


def test_run_that_a_stop_ended_is_retried_and_struck_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Retried(tmp_path, monkeypatch)
    found = list(cluster.runner.run([FIRST, SECOND], 3))
    assert [(one.point, one.beside) for one in found] == [(FIRST.name, ()), (SECOND.name, (FIRST.name,))]
    assert [(one.verdict, one.struck_at) for one in found] == [("kept", "configure"), ("kept", "look")]
    assert cluster.retries == [RUN]
    assert cluster.pressed == 2
    assert cluster.second_at > cluster.retried_at + 5, "not at what was over when it was retried"
    assert sum(one.took_s or 0 for one in found) == pytest.approx(cluster.waited_s)


def test_point_that_a_retry_does_not_come_to_again_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Retried(tmp_path, monkeypatch)
    before = [point("stop@snapshot.ended"), point("stop@settle.ended", 1)]
    for one in before:
        node = {"id": one.step, "type": "Pod", "templateName": one.step, "phase": "Succeeded"}
        inputs = {"inputs": {"parameters": [{"name": "visit", "value": "01"}]}}
        monkeypatch.setitem(PREFLIGHT, one.step, {**node, **inputs})
    found = list(cluster.runner.run([FIRST, *before, SECOND], 3))
    assert [one.point for one in found] == [FIRST.name, SECOND.name]
    assert cluster.retries == [RUN], "nothing was waited for in vain"


def test_look_that_no_round_has_any_more_is_left_out() -> None:
    run = Status()
    before = frozenset({run.node("a", "look", phase="Succeeded")})
    asked = point("stop@look.ended")
    assert not moments.has_passed(run.workflow(), asked, before), "another round may have one"
    run.node("b", "collect", phase="Pending")
    assert moments.has_passed(run.workflow(), asked, before)
    run.node("c", "look")
    assert not moments.has_passed(run.workflow(), asked, before)


def test_run_that_succeeds_despite_a_stop_is_not_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Retried(tmp_path, monkeypatch)

    def succeed(_found: object) -> None:
        cluster._own().restore()
        cluster._put("Succeeded", Status())

    monkeypatch.setattr(cluster, "_end", succeed)
    assert [one.point for one in cluster.runner.run([FIRST, SECOND], 3)] == [FIRST.name]
    assert cluster.retries == []


def test_outcomes_are_kept_where_a_retry_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Retried(tmp_path, monkeypatch)

    def refuse(_name: str) -> None:
        raise Problem("`argo retry` failed")

    monkeypatch.setattr(cluster.runner._strikes, "retry", refuse)
    assert [one.point for one in cluster.runner.run([FIRST, SECOND], 3)] == [FIRST.name]


def test_outcome_is_known_before_the_run_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Retried(tmp_path, monkeypatch)
    assert next(iter(cluster.runner.run([FIRST, SECOND], 3))).point == FIRST.name
    assert cluster.retries == []


def test_run_that_left_something_is_not_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Retried(tmp_path, monkeypatch)
    cluster.guard = False

    def die(_found: dict[str, Any]) -> None:
        cluster._put("Failed", Status())

    monkeypatch.setattr(cluster, "_end", die)
    (found,) = cluster.runner.run([FIRST, SECOND], 3)
    assert found.misses == ["objects differ", "not as before within 180 s"]
    assert cluster.retries == []


def test_retry_needs_argos_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch, guard=True)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert not cluster.runner._strikes.can_retry
    with pytest.raises(Unsupported, match="RETRIED needs `argo` on PATH"):
        chaos.require_retry(cluster.runner._strikes, 4)
    with pytest.raises(BadInput, match="RETRIED needs TOGETHER"):
        chaos.require_retry(cluster.runner._strikes, 1)
