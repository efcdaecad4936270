"""Steps as processes: what they get, what is kept of them, and how they end when somebody wants them to."""

import errno
import os
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest
from hera.workflows import DAG

from analysis.errors import BadInput, Unsupported
from analysis.store.storage import atomic
from tests.workflows.local import toys as t
from tests.workflows.local.running import await_exit, phases, walk, workflow
from workflows.local.execution.engine import Engine
from workflows.local.execution.events import Event, NodeFinished, NodeLog, NodeProgress, NodeStarted
from workflows.local.execution.process import Tail


def test_failed_step_message(tmp_path: Path) -> None:
    outcome, events = walk(
        workflow(
            lambda: (
                t.fail_saying(name="sentence", arguments={"sentence": "the port is in use"}),
                t.fail(name="last-line"),
                t.kill_itself(name="killed"),
                t.kill_itself_by(name="nameless", arguments={"number": str(signal.SIGRTMIN + 1)}),
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
        "nameless": f"the step was ended by signal {signal.SIGRTMIN + 1}",
        "raised": "x is bad",
    }
    assert {e.message for e in events if isinstance(e, NodeFinished) and e.phase == "Failed"} >= {"the port is in use"}


def test_log_lines_and_progress_are_reported(tmp_path: Path) -> None:
    _, events = walk(workflow(lambda: t.progress(name="p")), tmp_path)
    assert [e.line for e in events if isinstance(e, NodeLog)] == ["pod-to-pod tcp forward 1/4: 5.21 Gbit/s"]
    assert [(e.done, e.total) for e in events if isinstance(e, NodeProgress)] == [(1, 4)]


def test_artifacts_of_failed_steps_are_kept_and_read_by_prefix(tmp_path: Path) -> None:
    def main() -> None:
        t.keep(name="good", arguments={"text": "a"})
        t.keep(name="bad", arguments={"text": "fails"})
        t.read_all(name="read", depends="good && bad.Failed")
        t.keep(name="escapes", arguments={"text": "../../../x"})

    outcome, _ = walk(workflow(main), tmp_path)
    assert outcome.find("read")[0].outputs == {"printed": "a.txt,fails.txt"}
    assert (tmp_path / "raw/run/fails.txt").read_text() == "fails"
    assert phases(outcome)["escapes"] == "Error"
    assert not list(tmp_path.rglob(f".*{atomic.TEMPORARY}"))


def test_optional_artifact_may_be_missing(tmp_path: Path) -> None:
    outcome, _ = walk(workflow(lambda: t.read_all(name="read")), tmp_path)
    assert outcome.phase == "Succeeded"
    built = workflow(lambda: t.read_all(name="read")).to_dict()
    for one in built["spec"]["templates"]:
        for artifact in one.get("inputs", {}).get("artifacts", []):
            del artifact["optional"]
    outcome, _ = walk(built, tmp_path)
    assert outcome.failures[0].message == "input artifact kept is missing: there is nothing at raw/run."


@pytest.mark.parametrize("fault", ["no-room", "no-server"])
def test_step_that_can_not_be_started_is_an_error(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for its folder; and where the server that forks it has just been killed."""

    def full(path: object, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def ended(_descriptors: object) -> None:
        raise EOFError("unexpected EOF")

    def listener(_engine: Engine, event: Event) -> None:
        if isinstance(event, NodeStarted) and event.kind == "Pod":
            if fault == "no-room":
                monkeypatch.setattr(os, "mkdir", full)
            else:
                monkeypatch.setattr(forkserver, "connect_to_new_process", ended)
        elif isinstance(event, NodeFinished):
            monkeypatch.undo()

    outcome, _ = walk(workflow(lambda: t.nothing(name="n"), lambda: t.nothing(name="x")), tmp_path, listener=listener)
    assert phases(outcome)["n"] == "Error"
    why = "the disk is full" if fault == "no-room" else "the step could not be started, for the process that starts "
    assert why in outcome.message
    assert {"onExit.x"} <= phases(outcome).keys()


def test_line_of_a_step_is_read_whole(tmp_path: Path) -> None:
    """Though its bytes come one by one, and a character has several."""
    file, text, lines = tmp_path / "stderr", "5 µs – gut\n", []
    tail = Tail(file)
    for end in range(len(text.encode()) + 1):
        file.write_bytes(text.encode()[:end])
        lines += tail.new_lines()
    assert lines == [text.strip()]


def test_environment_variables_reach_the_step(tmp_path: Path) -> None:
    outcome, _ = walk(
        workflow(lambda: t.environment(name="e", arguments={"name": "TOY"})), tmp_path, env={"TOY": "here"}
    )
    assert outcome.find("e")[0].outputs == {"printed": "here"}


def test_step_dies_with_the_killed_engine(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom tests.workflows.local import toys as t\n"
        "from tests.workflows.local.running import walk, workflow\n"
        "from pathlib import Path\n"
        "walk(workflow(lambda: t.tell_pid(name='w')), Path(sys.argv[1]),"
        " listener=lambda _e, event: print(getattr(event, 'line', ''), flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        step = next(int(line) for line in engine.stdout if line.strip())
        assert psutil.pid_exists(step)
        engine.send_signal(signal.SIGKILL)
    await_exit(step)


def test_invalid_workflow_arguments_are_refused(tmp_path: Path) -> None:
    built = workflow(lambda: t.nothing(name="n"), fields={"arguments": {"profile": "smoke"}})
    with pytest.raises(BadInput, match="no parameter 'profle'; did you mean profile"):
        Engine(built, {"profle": "x"}, str(tmp_path), "run")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Unsupported, match="can't write "):
        Engine(built, {}, str(file), "run").run()


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
        Engine(built, {}, str(tmp_path), "run")


@pytest.mark.parametrize("asked", ["", "fds"])
def test_fork_server_of_a_killed_engine_ends_without_a_traceback(asked: str) -> None:
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
