"""The sandbox hands on exit codes and signals, and leaves nothing behind whatever ends it."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from analysis.errors import Unsupported
from steps.cluster.lab import sandbox
from tests import machine
from tests.ordinary import AS_NOBODY, ROOT, environment
from tests.steps.lab.conftest import SandboxServer, command
from tests.waiting import until

pytestmark = pytest.mark.lab

TRAPS = """
trap 'echo INT' INT; trap 'echo TERM; exit 42' TERM; trap 'echo HUP; exit 43' HUP
echo up; sleep 60 & while kill -0 $!; do wait $!; done
"""
_PATIENCE_S = 120


@pytest.fixture(params=["root", "ordinary"])
def who(request: pytest.FixtureRequest) -> tuple[tuple[str, ...], str]:
    """How to start a sandbox as either user: what goes before the command, and which Python."""
    if request.param == "root":
        request.getfixturevalue("root_sandbox")
        return (), sys.executable
    request.getfixturevalue("ordinary_sandbox")
    prefix = AS_NOBODY if os.geteuid() == 0 else ()
    return prefix, request.getfixturevalue("ordinary_python")


def _start(who: tuple[tuple[str, ...], str], *argv: str) -> subprocess.Popen[str]:
    prefix, python = who
    return subprocess.Popen(
        ["env", "--default-signal=HUP", *prefix, *command(*argv, python=python)],  # however these tests were started
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def running(who: tuple[tuple[str, ...], str]) -> Iterator[subprocess.Popen[str]]:
    """A sandbox whose program says which signals it gets."""
    with _start(who, "sh", "-c", TRAPS) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "output", "code"), [(15, "TERM", 42), (1, "HUP", 43)])
def test_sandbox_forwards_signals(running: subprocess.Popen[str], number: int, output: str, code: int) -> None:
    running.send_signal(number)
    out, _ = running.communicate(timeout=_PATIENCE_S)
    assert (out.split(), running.returncode) == ([output], code)


def test_sandbox_forwards_no_signal_that_nohup_ignores(who: tuple[tuple[str, ...], str]) -> None:
    with _start((("env", "--ignore-signal=HUP", *who[0]), who[1]), "sh", "-c", TRAPS) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        for number in (signal.SIGHUP, signal.SIGTERM):
            running.send_signal(number)
        out, _ = running.communicate(timeout=_PATIENCE_S)
    assert (out.split(), running.returncode) == (["TERM"], 42)


@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_sandbox_forwards_sigint_once(running: subprocess.Popen[str], send: Callable[[int, int], None]) -> None:
    """A terminal sends it to the whole group; of the sandbox, only its maker is in it. It does not end the program."""
    send(running.pid, signal.SIGINT)
    assert running.stdout is not None
    assert running.stdout.readline() == "INT\n"
    running.send_signal(signal.SIGTERM)
    out, _ = running.communicate(timeout=_PATIENCE_S)
    assert (out.split(), running.returncode) == (["TERM"], 42)


def test_ctrl_c_before_the_box_has_a_session_of_its_own_reaches_the_program(
    monkeypatch: pytest.MonkeyPatch, root_sandbox: SandboxServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """It then goes to the process that becomes the sandbox as well as to its maker, and neither may be lost."""
    assert root_sandbox is not None
    interrupt_itself = "import os, sys; os.kill(os.getpid(), 2); os.execvp(sys.argv[1], sys.argv[1:])"
    popen = subprocess.Popen

    def interrupted(command: tuple[str, ...], **others: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401
        os.kill(os.getpid(), signal.SIGINT)
        return popen((sys.executable, "-c", interrupt_itself, *command), **others)

    monkeypatch.setattr("steps.cluster.lab.sandbox.subprocess.Popen", interrupted)
    wait = f"import signal; print(signal.sigtimedwait([signal.SIGINT], {_PATIENCE_S}).si_signo)"
    ended = sandbox.start_in_sandbox((sys.executable, "-c", wait), hold_interrupts=True)
    assert (ended, capfd.readouterr().out) == (sandbox.SandboxResult(0), "2\n")


@pytest.mark.parametrize(
    ("argv", "code"), [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137)]
)
def test_sandbox_returns_the_exit_code(who: tuple[tuple[str, ...], str], argv: list[str], code: int) -> None:
    with _start(who, *argv) as process:
        process.communicate(timeout=_PATIENCE_S)
        assert process.returncode == code


def test_sandbox_of_a_missing_program_is_a_problem(who: tuple[tuple[str, ...], str]) -> None:
    with _start(who, "/nowhere/program") as process:
        _, err = process.communicate(timeout=_PATIENCE_S)
        assert (process.returncode, err) == (127, "/nowhere/program can't be started: No such file or directory.\n")


def test_sandbox_keeps_the_files_of_run(who: tuple[tuple[str, ...], str]) -> None:
    with _start(who, "sh", "-c", "ls /run /run/hostrun; cat /etc/resolv.conf") as process:
        out, _ = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode in {0, 1}
    own = {entry.name for entry in Path("/run").iterdir() if not entry.name.startswith(".")}
    assert own <= set(out.split()) | {"xtables.lock", "mount"}
    assert Path("/etc/resolv.conf").read_text() in out


def test_namespaces_of_two_sandboxes_do_not_clash(who: tuple[tuple[str, ...], str]) -> None:
    """Two sandboxes at once, each with a namespace of the same name."""
    script = "touch /run/netns/same && unshare --net=/run/netns/same true && echo up && read line && ip netns"
    prefix, python = who
    both = [
        subprocess.Popen(
            [*prefix, *command("sh", "-c", script, python=python)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
    for process in both:
        out, _ = process.communicate("go\n", timeout=_PATIENCE_S)
        assert out.split() == ["same"]
    assert not Path("/run/netns/same").exists()


@pytest.mark.parametrize(
    ("arm", "number"),
    [
        *(("lab-ebpf", end) for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, None)),
        ("lab-iptables", signal.SIGKILL),
    ],
)
def test_ended_sandbox_leaves_no_server_namespace_or_ebpf_program(
    root_sandbox: SandboxServer, arm: str, number: signal.Signals | None
) -> None:
    """By a signal, or since its program ended without taking the lab away."""
    del root_sandbox  # it skips this test where no root is
    mark = f"STARTED_BY_TEST_{uuid.uuid4().hex}"
    process = subprocess.Popen(
        command(sys.executable, "-m", "tests.steps.lab.scripts", "stay", f'["{arm}"]'),
        cwd=ROOT,
        env=environment() | {mark: ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    found = machine.processes(mark)
    assert len(found) > 5
    namespaces = machine.network_namespaces(found)
    assert len(namespaces) > 1
    programs = machine.pinned_programs(found)
    assert bool(programs) == (arm == "lab-ebpf")
    if number is not None:
        process.send_signal(number)
    process.stdin.close()
    process.wait(timeout=_PATIENCE_S)
    process.stdout.close()
    until(lambda: not machine.processes(mark))
    until(lambda: not machine.network_namespaces(psutil.process_iter()) & namespaces)
    until(lambda: not machine.loaded(programs))


def test_tests_run_outside_a_sandbox() -> None:
    assert not sandbox.is_inside()


@pytest.mark.parametrize("token", [None, "", "a" * 32])
def test_stale_sandbox_mark_or_token_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.setattr(sandbox, "MARK", tmp_path / "mark")
    if token is None:
        monkeypatch.delenv(sandbox.TOKEN, raising=False)
    else:
        monkeypatch.setenv(sandbox.TOKEN, token)
    assert not sandbox.is_inside()
    sandbox.MARK.write_text("")
    assert not sandbox.is_inside()
    sandbox.MARK.write_text("b" * 32)
    assert not sandbox.is_inside()


def test_sandbox_mark_is_private(who: tuple[tuple[str, ...], str]) -> None:
    script = "import sys; from steps.cluster.lab import sandbox; sys.exit(0 if sandbox.is_inside() else 9)"
    with _start(who, who[1], "-c", script) as process:
        _, err = process.communicate(timeout=_PATIENCE_S)
        assert (process.returncode, err) == (0, "")


def test_killed_sandbox_is_a_problem(
    running: subprocess.Popen[str],
) -> None:
    """Its first process, which is the only child of the one that made the namespaces."""
    (unshare,) = psutil.Process(running.pid).children()
    (init,) = unshare.children()
    init.kill()
    _, err = running.communicate(timeout=_PATIENCE_S)
    assert running.returncode != 0
    assert "The lab's sandbox was killed from outside" in err


@pytest.mark.parametrize("missing", ["setpriv", "unshare"])
def test_missing_util_linux_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str) -> None:
    for program in {"setpriv", "unshare", "sh", "mount"} - {missing}:
        found = shutil.which(program)
        assert found is not None
        (tmp_path / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match=f"{missing} is not installed: type `sudo apt-get install -y util-linux`"):
        sandbox.run_in_sandbox(["true"])
