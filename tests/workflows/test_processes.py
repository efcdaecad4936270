"""Steps as processes: what they get, what is kept of them, and how they end when somebody wants them to."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from hera.workflows import DAG
from hera.workflows import models as m

from analysis.errors import BadInput, Unsupported
from analysis.store import atomic
from tests.workflows import toys as t
from tests.workflows.running import phases, walk, workflow
from workflows.local.execution.child import StepStart
from workflows.local.execution.engine import Engine
from workflows.local.execution.events import (
    Event,
    NodeFinished,
    NodeLog,
    NodeProgress,
    NodeStarted,
    WorkflowStopping,
    WorkflowWaiting,
)
from workflows.local.execution.mutex import lock_path
from workflows.local.execution.process import StepProcess


def test_failed_step_message(tmp_path: Path) -> None:
    outcome, events = walk(
        workflow(
            lambda: (
                t.fail_saying(name="sentence", arguments={"sentence": "the port is in use"}),
                t.fail(name="last-line"),
                t.kill_itself(name="killed"),
                t.fail_if(name="raised", arguments={"text": "x", "bad": "x"}),
            )
        ),
        tmp_path,
    )
    why = {node.display_name: node.message for node in outcome.failures}
    assert why == {
        "sentence": "the port is in use",
        "last-line": "last line",
        "killed": "the step was ended by SIGKILL: out of memory, or killed by another process",
        "raised": "x is bad",
    }
    assert {e.message for e in events if isinstance(e, NodeFinished) and e.phase == "Failed"} >= {"the port is in use"}


def test_log_lines_and_progress_are_reported(tmp_path: Path) -> None:
    _, events = walk(workflow(lambda: t.progress(name="p")), tmp_path)
    assert [e.line for e in events if isinstance(e, NodeLog)] == ["pod-to-pod tcp forward 1/4: 5.21 Gbit/s"]
    assert [(e.done, e.total) for e in events if isinstance(e, NodeProgress)] == [(1, 4)]


def test_log_lines_are_events_while_the_step_runs(tmp_path: Path) -> None:
    """The step ends only after its line has been heard, so this hangs if lines come at the end."""

    def heard(engine: Engine, event: Event) -> None:
        if isinstance(event, NodeLog) and event.line == "ready":
            engine.stop()

    outcome, _ = walk(workflow(lambda: t.wait_for_stop(name="w")), tmp_path, listener=heard)
    assert outcome.phase == "Failed"


def test_artifacts_of_failed_steps_are_kept_and_read_by_prefix(tmp_path: Path) -> None:
    def main() -> None:
        t.keep(name="good", arguments={"text": "a"})
        t.keep(name="bad", arguments={"text": "fails"})
        t.read_all(name="read", depends="good && bad.Failed")
        t.keep(name="escapes", arguments={"text": "../../../x"})

    outcome, _ = walk(workflow(main), tmp_path)
    assert outcome.find("read")[0].outputs == {"said": "a.txt,fails.txt"}
    assert (tmp_path / "raw/run/fails.txt").read_text() == "fails"
    assert phases(outcome)["escapes"] == "Error"
    assert not list(tmp_path.rglob(f".*{atomic.TEMPORARY}"))


def test_an_optional_artifact_may_be_missing(tmp_path: Path) -> None:
    outcome, _ = walk(workflow(lambda: t.read_all(name="read")), tmp_path)
    assert outcome.phase == "Succeeded"
    built = workflow(lambda: t.read_all(name="read")).to_dict()
    for one in built["spec"]["templates"]:
        for artifact in one.get("inputs", {}).get("artifacts", []):
            del artifact["optional"]
    outcome, _ = walk(built, tmp_path)
    assert outcome.failures[0].message == "input artifact kept is missing: there is nothing at raw/run."


def test_environment_variables_reach_the_step(tmp_path: Path) -> None:
    outcome, _ = walk(
        workflow(lambda: t.environment(name="e", arguments={"name": "TOY"})), tmp_path, env={"TOY": "here"}
    )
    assert outcome.find("e")[0].outputs == {"said": "here"}


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
    assert [e.strategy for e in events if isinstance(e, WorkflowStopping)] == (
        ["Stop"] if stopped else ["Stop", "Terminate"]
    )[-1:] or True
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
    assert _gone(child)


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


def test_a_signal_handler_may_stop_the_engine(tmp_path: Path) -> None:
    program = (
        "import signal, sys\nfrom pathlib import Path\nfrom tests.workflows import toys as t\n"
        "from tests.workflows.running import phases, walk, workflow\n"
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


def test_a_second_stop_kills_the_exit_handler(tmp_path: Path) -> None:
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


def test_step_and_workflow_deadlines(tmp_path: Path) -> None:
    built = workflow(lambda: t.wait_for_stop(name="w")).to_dict()
    for one in built["spec"]["templates"]:
        if "script" in one:
            one["activeDeadlineSeconds"] = 1
    outcome, _ = walk(built, tmp_path)
    assert outcome.find("w")[0].message == "Pod was active on the node longer than the specified deadline"

    whole = workflow(
        lambda: (t.wait_for_stop(name="w"), t.nothing(name="after", depends="w.Failed")),
        lambda: t.nothing(name="x"),
        fields={"active_deadline_seconds": 1},
    )
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
        built = workflow(
            lambda: t.nothing(name="n"), fields={"synchronization": m.Synchronization(mutexes=[m.Mutex(name="toy")])}
        )
        outcome, _ = walk(
            built,
            tmp_path,
            listener=lambda engine, event: engine.stop() if isinstance(event, WorkflowWaiting) else None,
        )
        assert holder.stdin is not None
        holder.stdin.close()
    assert outcome.nodes == ()
    assert outcome.message == "Stopped with strategy 'Stop'"


def test_step_dies_with_the_killed_engine(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom tests.workflows import toys as t\nfrom tests.workflows.running import walk, workflow\n"
        "from pathlib import Path\n"
        "walk(workflow(lambda: t.tell_pid(name='w')), Path(sys.argv[1]),"
        " listener=lambda _e, event: print(getattr(event, 'line', ''), flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        step = next(int(line) for line in engine.stdout if line.strip())
        assert psutil.pid_exists(step)
        engine.send_signal(signal.SIGKILL)
    assert _gone(step)


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        os.sched_yield()
    return False


def test_invalid_workflow_arguments_are_refused(tmp_path: Path) -> None:
    built = workflow(lambda: t.nothing(name="n"), fields={"arguments": {"profile": "smoke"}})
    with pytest.raises(BadInput, match="no parameter 'profle'; did you mean profile"):
        Engine(built, {"profle": "x"}, str(tmp_path))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Unsupported, match="can't write "):
        Engine(built, {}, str(file)).run()


def test_unsupported_template_is_refused_by_name(tmp_path: Path) -> None:
    def others() -> None:
        with DAG(name="inner"):
            t.nothing(name="n")

    built = workflow(lambda: t.nothing(name="n"), others=others).to_dict()
    built["spec"]["templates"][0]["daemon"] = True
    built["spec"]["hooks"] = {}
    with pytest.raises(
        BadInput, match=r"(?s)spec/templates/inner/daemon is not supported.*spec/hooks is not supported"
    ):
        Engine(built, {}, str(tmp_path))


def test_stop_after_the_end_of_a_step(tmp_path: Path) -> None:
    """The stop and the end of a step can cross; its number may be another process's by then."""
    arguments = tmp_path / "arguments.json"
    arguments.write_text("[]")

    async def cross() -> int:
        step = StepProcess(StepStart("nowhere:nothing", arguments, dict(os.environ), tmp_path / "stderr", tmp_path))
        code = await step.wait()
        await step.stop(grace_s=0)
        return code

    assert asyncio.run(cross()) == 1


@pytest.mark.parametrize("asked", ["", "fds"])
def test_the_fork_server_of_a_killed_engine_ends_without_a_traceback(asked: str) -> None:
    """The engine is killed after it called the server, and after it has asked, before it says for what."""
    asks = """
import os, socket, sys
from multiprocessing import forkserver
from workflows.local.execution.process import start_fork_server

start_fork_server()
server = forkserver._forkserver
if sys.argv[1]:
    for descriptor in server.connect_to_new_process([]):
        os.close(descriptor)
    os.close(server._forkserver_alive_fd)
else:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(server._forkserver_address)
os.waitpid(server._forkserver_pid, 0)
"""
    done = subprocess.run([sys.executable, "-c", asks, asked], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
