"""Ctrl-C before anything runs: a sentence and 130 whenever it comes, while this and that is being loaded."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from steps.cluster.lab.box import is_privileged

PATIENCE_S = 30


class Run:
    """A run that is starting, with the processes that it has by now."""

    def __init__(self, *argv: str) -> None:
        self._mark = f"STARTED_BY_TEST_{uuid.uuid4().hex}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workflows", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, self._mark: ""},
            start_new_session=True,
        )

    def others(self) -> list[psutil.Process]:
        """All that it started, in the box or not."""
        return [
            p
            for p in psutil.process_iter(["environ"])
            if self._mark in (p.info["environ"] or {}) and p.pid != self.process.pid
        ]

    def inside(self) -> list[psutil.Process]:
        """The Python that is started in the box, and what it starts itself."""
        return [p for p in self.others() if "workflows" in _words(p)]

    def interrupt(self, when: Callable[["Run"], bool]) -> tuple[int, str, str]:
        """Send what Ctrl-C sends once this holds; the exit code, what was said, and what was said of trouble."""
        deadline = time.monotonic() + PATIENCE_S
        while not when(self):
            assert time.monotonic() < deadline, "it never came to that"
            assert self.process.poll() is None, self.process.communicate()
        os.killpg(self.process.pid, signal.SIGINT)
        said, trouble = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said, trouble


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _has_loaded(process: int, library: str) -> bool:
    try:
        return library in Path(f"/proc/{process}/maps").read_text()
    except OSError:
        return False


def itself(library: str) -> Callable[[Run], bool]:
    return lambda run: _has_loaded(run.process.pid, library)


def inside(library: str) -> Callable[[Run], bool]:
    return lambda run: any(_has_loaded(process.pid, library) for process in run.inside())


@pytest.mark.parametrize("verb", ["run", "plan", "report", "query"])
@pytest.mark.parametrize("library", ["pydantic_core", "_datetime"])
def test_while_the_command_line_is_loaded(tmp_path: Path, verb: str, library: str) -> None:
    code, said, trouble = Run(verb, f"--results={tmp_path}").interrupt(itself(library))
    assert (code, said, trouble) == (130, "", "Interrupted.\n")


@pytest.mark.lab
@pytest.mark.skipif(not is_privileged(), reason="an ordinary user may see no memory maps in the box")
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(itself("libarrow"), id="the store is looked at"),
        pytest.param(lambda run: bool(run.others()), id="the box is set up"),
        pytest.param(lambda run: any("box_init" in word for p in run.others() for word in _words(p)), id="box_init"),
        pytest.param(lambda run: bool(run.inside()), id="Python starts in it"),
        pytest.param(inside("_datetime"), id="it loads the first module"),
        pytest.param(inside("pydantic_core"), id="it loads the settings"),
        pytest.param(inside("_yaml"), id="it loads Hera"),
    ],
)
def test_while_a_run_is_starting(tmp_path: Path, moment: Callable[[Run], bool]) -> None:
    run = Run("run", "--profile=smoke", "--seed=7", f"--results={tmp_path}")
    code, _, trouble = run.interrupt(moment)
    assert (code, trouble) == (130, "Interrupted.\n")
    deadline = time.monotonic() + PATIENCE_S
    while run.others():
        assert time.monotonic() < deadline, "it left processes behind"
    assert [path for path in tmp_path.rglob("*") if not path.name.startswith(".")] == []


def test_the_help_tells_the_exit_code() -> None:
    done = subprocess.run([sys.executable, "-m", "workflows", "--help"], text=True, capture_output=True, check=True)
    assert "130 interrupted before anything ran" in " ".join(done.stdout.split())
