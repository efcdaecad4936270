"""A Workflow's status and log, as the events, sentences and results that submit shows."""

import base64
import gzip
import json

import pytest

from tests.workflows.submission.fake_run import RUN, UID, Status, begun, whole
from workflows.local.execution.events import (
    NodeFinished,
    NodeLog,
    NodeProgress,
    NodeStarted,
    WorkflowFinished,
    WorkflowStarted,
    WorkflowStopping,
    WorkflowWaiting,
)
from workflows.submission import status, submit
from workflows.submission.translate import Translator


def test_workflow_status_becomes_local_engine_events() -> None:
    translator, (state, visit) = Translator(), begun()
    first = list(translator.events(state.workflow()))
    assert first[0] == WorkflowStarted(RUN, UID)
    group = next(e for e in first if isinstance(e, NodeStarted) and e.kind == "TaskGroup")
    assert group.items == 2
    begins = next(e for e in first if isinstance(e, NodeStarted) and e.node == visit)
    assert (begins.parent, begins.inputs["dataplane"]) == (group.node, "ebpf")
    assert list(translator.events(state.workflow())) == []
    pod = state.node("visit(0:visit:01).measure", "measure", boundary=visit, progress="1/8", message="placed")
    assert list(translator.events(state.workflow())) == [
        NodeStarted(pod, "measure", "Pod", visit),
        NodeLog(pod, "placed"),
        NodeProgress(pod, 1, 8),
    ]
    state.end(pod, "Failed", "main: Error (exit code 1): it broke")
    state.end(visit, "Failed", "child failed")
    state.nodes[visit]["children"] = [pod]
    state.shutdown, state.phase, state.message = "Stop", "Failed", "Stopped with strategy 'Stop'"
    last = list(translator.events(state.workflow()))
    assert last[0] == WorkflowStopping("Stop")
    finished = {e.node: (e.phase, e.message) for e in last if isinstance(e, NodeFinished)}
    assert finished == {pod: ("Failed", "it broke"), visit: ("Failed", "")}
    assert last[-1] == WorkflowFinished("Failed", "Stopped with strategy 'Stop'", 60.0)


def test_waiting_is_reported_once() -> None:
    translator, waiting = Translator(), Status("Pending", "Waiting for argo/Mutex/x lock").workflow()
    assert [type(e) for e in translator.events(waiting)] == [WorkflowWaiting]
    assert list(translator.events(waiting)) == []


def test_compressed_nodes_are_unpacked() -> None:
    packed = whole().workflow()
    nodes = packed["status"].pop("nodes")
    packed["status"]["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    assert status.nodes(packed) == nodes
    assert status.reported_result(packed)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("main: Error (exit code 2): no such node.", "no such node."),
        ("Error (exit code 1): it broke", "it broke"),
        ("main: OOMKilled (exit code 137)", "main: OOMKilled (exit code 137)"),
        ("Pod was active too long", "Pod was active too long"),
        ("", ""),
    ],
)
def test_node_message_is_the_steps_own(message: str, told: str) -> None:
    assert status.failure_sentence(message) == told


ARGOS_LOG = """time=2026-11-25T10:22:04.580Z level=INFO msg="waiting for signals" argo=true
not settled: node-a: switch: ClusterIP from node-a does not answer; so ebpf-dsr is not proven
ebpf-dsr proven in 13.18 s
time=2026-11-25T10:22:26.207Z level=INFO msg="sub-process exited" error=<nil> argo=true
null
Error: exit status 2
time=2026-11-25T10:22:26.208Z level=INFO msg="file signal handler exiting due to context cancellation" argo=true
"""
"""As Argo 4.1.2 keeps a step's log."""


@pytest.mark.parametrize(
    ("log", "output"), [(ARGOS_LOG, "ebpf-dsr proven in 13.18 s"), (ARGOS_LOG.splitlines()[0], ""), ("", "")]
)
def test_termination_message_is_the_steps_own(log: str, output: str) -> None:
    assert submit.last_line(log) == output
