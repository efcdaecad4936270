"""A standard output that fails or loses its reader ends no deployment in the middle, and hides no failure."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from analysis.console.terminal import CheckedStream
from analysis.errors import Problem
from steps.cluster.kube.adapter import KubernetesCluster
from tests.analysis.test_terminal import Failing
from tests.steps.kube.fakes.store import Store
from tests.workflows.deployment.deploying import build_without_kubectl
from tests.workflows.fake_argo import cluster, person
from tests.workflows.submission.fake_run import Status, begun, whole
from tests.workflows.submission.test_submit import deployed
from workflows.cli import cluster as cluster_verbs
from workflows.deployment import kustomization
from workflows.deployment.deploy import deploy
from workflows.deployment.undeploy import undeploy
from workflows.deployment.user_client import UserClient
from workflows.flags.deploy import DeployFlags
from workflows.flags.run import SubmitFlags
from workflows.submission.submit import submit

GONE, FULL = BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device")
SAID = "The standard output can't be written: No space left on device. "


LOSSES = pytest.mark.parametrize(("error", "lines"), [(e, n) for e in (GONE, FULL) for n in (0, 1, 3)], ids=str)


@contextlib.contextmanager
def losing(error: OSError, lines: int) -> Iterator[None]:
    stream = CheckedStream(Failing(error, lines))
    with (
        mock.patch("analysis.console.terminal.discard_buffered"),
        mock.patch.object(kustomization, "build_objects", build_without_kubectl),
        mock.patch.object(sys, "stdout", stream),
    ):
        yield
        assert sys.stdout is stream, "the next program's output is its own"


def in_full(store: Store, run: Callable[[Store], int]) -> set[Any]:
    with (
        mock.patch.object(kustomization, "build_objects", build_without_kubectl),
        mock.patch.object(sys, "stdout", io.StringIO()),
    ):
        assert run(store) == 0
    return set(store.objects)


def deploying(store: Store, **flags: str) -> int:
    return deploy(DeployFlags(image="bench:1", namespace="argo", **flags), client=person(store))  # type: ignore[arg-type]


def removing(store: Store) -> int:
    return deploying(store, guard="off", admission="off")


def undeploying(store: Store) -> int:
    return undeploy("", client=person(store))


def was_said(error: OSError, capsys: pytest.CaptureFixture[str]) -> bool:
    return (SAID in capsys.readouterr().err) is (error is FULL)


@LOSSES
def test_all_objects_are_applied_without_an_output(
    error: OSError, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, store = in_full(cluster(), deploying), cluster()
    with losing(error, lines):
        assert deploying(store) == 0
    assert set(store.objects) == expected
    assert was_said(error, capsys)


@LOSSES
@pytest.mark.parametrize("run", [removing, undeploying])
def test_all_objects_are_deleted_without_an_output(
    run: Callable[[Store], int], error: OSError, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, store = cluster(), cluster()
    for each in (expected, store):
        in_full(each, deploying)
    with losing(error, lines):
        assert run(store) == 0
    assert set(store.objects) == in_full(expected, run)
    assert was_said(error, capsys)


@LOSSES
@pytest.mark.parametrize(("ended", "code"), [(whole(), 0), (whole("measured-with-failures", "Failed"), 1)])
def test_exit_code_of_a_run_stays_without_an_output(
    ended: Status,
    code: int,
    error: OSError,
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    states = [begun()[0].workflow(), ended.workflow()]
    monkeypatch.setattr(UserClient, "follow", lambda *_: iter(states))
    with losing(error, lines):
        assert submit(SubmitFlags(), client=person(deployed())) == code
    assert was_said(error, capsys)


@LOSSES
def test_deleted_run_is_a_problem_without_an_output(
    error: OSError, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UserClient, "follow", lambda *_: iter([begun()[0].workflow()]))
    with losing(error, lines), pytest.raises(Problem, match="was deleted while it ran"):
        submit(SubmitFlags(), client=person(deployed()))


@LOSSES
def test_unproven_dataplane_is_a_problem_without_an_output(
    error: OSError, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    unproven = mock.create_autospec(KubernetesCluster, instance=True, measured_nodes=("a", "b"))
    unproven.settle_for_user.side_effect = Problem("it is not proven.")
    monkeypatch.setattr(cluster_verbs, "_cluster", lambda *_: (unproven, "prod"))
    with losing(error, lines), pytest.raises(Problem, match="it is not proven"):
        cluster_verbs.settle(environment="prod", dataplane="ebpf")
