"""Stop, Terminate, deadlines and mutexes: how steps end, and when they wait."""

import asyncio
import errno
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hera.workflows import WorkflowTemplate
from hera.workflows import models as m

from analysis.errors import Unsupported
from tests.workflows.local import toys as t
from tests.workflows.local.running import await_exit, phases, walk, workflow
from workflows.local.execution.artifacts import ArtifactStore
from workflows.local.execution.child import StepStart
from workflows.local.execution.engine import Engine
from workflows.local.execution.events import (
    Event,
    NodeLog,
    NodeStarted,
    WorkflowStopping,
    WorkflowWaiting,
)
from workflows.local.execution.mutex import lock_path
from workflows.local.execution.process import StepProcess


def test_log_lines_are_events_while_the_step_runs(tmp_path: Path) -> None:
    """The step ends only after its line has been heard, so this hangs if lines come at the end."""

    def heard(engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            engine.stop()

    outcome, _ = walk(workflow(lambda: t.wait_for_stop(name="w")), tmp_path, listener=heard)
    assert outcome.phase == "Failed"


@pytest.mark.parametrize("times", [1, 2])
def test_stop_and_terminate(times: int, tmp_path: Path) -> None:
    def listener(engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            for _ in range(times):
                engine.stop()

    def main() -> None:
        t.wait_for_stop(name="w")
        t.nothing(name="after", depends="w || w.Failed")

    outcome, events = walk(workflow(main, lambda: t.nothing(name="x")), tmp_path, listener=listener)
    stopped = times == 1
    assert outcome.phase == "Failed"
    assert outcome.message == f"Stopped with strategy '{'Stop' if stopped else 'Terminate'}'"
    assert phases(outcome).get("onExit.x") == ("Succeeded" if stopped else None)
    assert [e.strategy for e in events if isinstance(e, WorkflowStopping)][-1] == ("Stop" if stopped else "Terminate")
    said = [e.again for e in events if isinstance(e, WorkflowStopping)]
    assert said[-1] == ("Stop again to end at once." if stopped else "")
    (step,), (after,) = outcome.find("w"), outcome.find("after")
    assert step.message == f"the step was ended by {'SIGTERM' if stopped else 'SIGKILL'}"
    assert after.message == f"workflow shutdown with strategy: {'Stop' if stopped else 'Terminate'}"
    assert (tmp_path / "run/kept.txt").exists() is stopped


def test_stop_ends_child_processes_of_the_step(tmp_path: Path) -> None:
    def listener(engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            engine.stop()

    walk(workflow(lambda: t.wait_for_stop(name="w")), tmp_path, listener=listener)
    child = int((tmp_path / "run/kept.txt").read_text())
    await_exit(child)


def test_step_ignoring_sigterm_is_killed(tmp_path: Path) -> None:
    def listener(engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            engine.stop()

    outcome, _ = walk(workflow(lambda: t.stubborn(name="s")), tmp_path, listener=listener, grace_s=0.1)
    assert outcome.find("s")[0].message == "the step was ended by SIGKILL"


def test_stop_leaves_the_exit_handler_running(tmp_path: Path) -> None:
    go = tmp_path / "go"

    def listener(engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            engine.stop()
        if isinstance(event, WorkflowStopping):
            go.touch()

    built = workflow(lambda: t.nothing(name="a"), lambda: t.wait_for_file(name="x", arguments={"file": str(go)}))
    outcome, _ = walk(built, tmp_path, listener=listener)
    assert phases(outcome)["onExit.x"] == "Succeeded"


@pytest.mark.parametrize("times", [1, 2])
def test_stop_while_a_step_gets_its_inputs(times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no process yet that could be ended, and must not get one."""
    engines: list[Engine] = []
    get = ArtifactStore.get

    def stopped_meanwhile(store: ArtifactStore, key: str, destination: Path) -> bool:
        for _ in range(times):
            engines[0].stop()
        time.sleep(0.2)
        return get(store, key, destination)

    monkeypatch.setattr(ArtifactStore, "get", stopped_meanwhile)
    outcome, events = walk(
        workflow(lambda: t.read_and_wait(name="w")), tmp_path, listener=lambda engine, _event: engines.append(engine)
    )
    strategy = "Stop" if times == 1 else "Terminate"
    assert outcome.find("w")[0].message == f"workflow shutdown with strategy: {strategy}"
    assert not [event for event in events if isinstance(event, NodeLog)]


def test_signal_handler_may_stop_the_engine(tmp_path: Path) -> None:
    program = (
        "import signal, sys\nfrom pathlib import Path\nfrom tests.workflows.local import toys as t\n"
        "from tests.workflows.local.running import phases, walk, workflow\n"
        "def listen(engine, event):\n"
        "    signal.signal(signal.SIGINT, lambda *_: engine.stop())\n"
        "    if getattr(event, 'line', '') == 'ready': print('ready', flush=True)\n"
        "built = workflow(lambda: t.wait_for_stop(name='w'), lambda: t.nothing(name='x'))\n"
        "print(phases(walk(built, Path(sys.argv[1]), listener=listen)[0]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == "ready\n"
        engine.send_signal(signal.SIGINT)
        out, err = engine.communicate(timeout=30)
    assert "'w': 'Failed'" in out, err
    assert "'onExit.x': 'Succeeded'" in out
    assert engine.returncode == 0


def test_failing_listener_stops_the_run_with_exit_handler(tmp_path: Path) -> None:
    """As a display does whose terminal is gone: `make run | head`."""
    marker = tmp_path / "raw/run/put-back.txt"

    def listener(_engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            raise BrokenPipeError

    built = workflow(lambda: t.wait_for_stop(name="w"), lambda: t.keep(name="x", arguments={"text": "put-back"}))
    with pytest.raises(BrokenPipeError):
        walk(built, tmp_path, listener=listener)
    assert marker.exists()


def test_second_stop_kills_the_exit_handler(tmp_path: Path) -> None:
    def listener(engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            engine.stop()

    built = workflow(
        lambda: t.wait_for_stop(name="w"), lambda: (t.stubborn(name="x"), t.nothing(name="y", depends="x.Failed"))
    )
    outcome, _ = walk(built, tmp_path, listener=listener)
    assert outcome.find("x")[0].message == "the step was ended by SIGKILL"
    assert outcome.find("y")[0].phase == "Failed"
    assert outcome.message == "Stopped with strategy 'Terminate'"


@pytest.mark.parametrize("limit_s", [1, "1"])
def test_step_and_workflow_deadlines(limit_s: int | str, tmp_path: Path) -> None:
    """A number, or its digits."""
    built = workflow(lambda: t.wait_for_stop(name="w")).to_dict()
    for one in built["spec"]["templates"]:
        if "script" in one:
            one["activeDeadlineSeconds"] = limit_s
    outcome, _ = walk(built, tmp_path)
    assert outcome.find("w")[0].message == "Pod was active on the node longer than the specified deadline"

    whole = workflow(
        lambda: (t.wait_for_stop(name="w"), t.nothing(name="after", depends="w.Failed")),
        lambda: t.nothing(name="x"),
    ).to_dict()
    whole["spec"]["activeDeadlineSeconds"] = limit_s
    outcome, _ = walk(whole, tmp_path)
    assert outcome.find("after")[0].message == "Step exceeded its deadline"
    assert phases(outcome)["onExit.x"] == "Succeeded"
    assert outcome.phase == "Failed"


def test_mutex_makes_the_second_run_wait_and_names_the_holder(tmp_path: Path) -> None:
    mutex = m.Synchronization(mutexes=[m.Mutex(name="toy")])
    waited = threading.Event()
    order: list[str] = []

    def second(_engine: Engine, event: Event) -> None:
        if isinstance(event, WorkflowWaiting):
            order.append(event.message)
            waited.set()
        if isinstance(event, NodeStarted) and event.kind == "Pod":
            order.append("second")

    def first(engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            threads[0].start()
            assert waited.wait(20)
            order.append("first ends")
            engine.stop()

    quick = workflow(lambda: t.nothing(name="n"), fields={"synchronization": mutex})
    slow = workflow(lambda: t.wait_for_stop(name="w"), fields={"synchronization": mutex})
    threads = [threading.Thread(target=lambda: walk(quick, tmp_path, listener=second))]
    walk(slow, tmp_path, listener=first)
    threads[0].join()
    assert order[0].startswith("Waiting for local/Mutex/toy lock: it is held by run run (process ")
    assert order[1:] == ["first ends", "second"]


def test_lock_file_is_for_all_users_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        outcome, _ = walk(_with_mutex(), tmp_path)
    finally:
        os.umask(before)
    assert outcome.phase == "Succeeded"
    assert stat.S_IMODE(lock_path("toy", tmp_path).stat().st_mode) == 0o644


def test_lock_file_that_can_not_be_created_names_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose /tmp is read-only: nobody can remove what is not there."""
    real = os.open

    def read_only(path: Any, flags: int, *more: Any, **others: Any) -> int:  # noqa: ANN401 - os.open's own
        if flags & os.O_CREAT and str(path).endswith("-toy.lock"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", read_only)
    sentence = f"-toy.lock can't be created: Read-only file system; make room for it, and {tmp_path} writable."
    with pytest.raises(Unsupported, match=re.escape(sentence)):
        walk(_with_mutex(), tmp_path)


def _with_mutex() -> WorkflowTemplate:
    return workflow(
        lambda: t.nothing(name="n"), fields={"synchronization": m.Synchronization(mutexes=[m.Mutex(name="toy")])}
    )


def test_run_waiting_for_a_mutex_can_be_stopped(tmp_path: Path) -> None:
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock_path("toy", tmp_path))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        outcome, _ = walk(
            _with_mutex(),
            tmp_path,
            listener=lambda engine, event: engine.stop() if isinstance(event, WorkflowWaiting) else None,
        )
        assert holder.stdin is not None
        holder.stdin.close()
    assert outcome.nodes == ()
    assert outcome.message == "Stopped with strategy 'Stop'"


def test_stop_after_the_end_of_a_step(tmp_path: Path) -> None:
    """The stop and the end of a step can cross; its number may be another process's by then."""
    arguments = tmp_path / "arguments.json"
    arguments.write_text("[]")

    async def cross() -> int:
        step = StepProcess(StepStart("nowhere:nothing", arguments, dict(os.environ), tmp_path / "stderr"))
        code = await step.wait()
        await step.stop(grace_s=0)
        return code

    assert asyncio.run(cross()) == 1
