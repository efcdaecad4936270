"""Ctrl-C before anything runs: a sentence and 130 whenever it comes, while this and that is being loaded."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from steps.cluster.lab.capabilities import is_privileged
from steps.cluster.lab.sandbox import TEMPORARY
from tests.waiting import until

PATIENCE_S = 30

HOOK = """
import os, pathlib, sys

class Marker:
    # Leaves a file when a module begins to be imported: one for the command itself, one for the Python in its sandbox.
    def find_spec(self, name, path=None, target=None):
        place = "inside" if os.environ.get("TMPDIR") == os.environ["BOX_TMPDIR"] else "itself"
        pathlib.Path(os.environ["MARKS"], f"{place} {name}").touch()

sys.meta_path.insert(0, Marker())
"""
"""The sitecustomize of what a test starts. Which extensions are files of their own depends on how Python was built."""


class Run:
    """A run that is starting, with the processes that it has by now."""

    def __init__(self, hook: Path, *argv: str) -> None:
        self._mark = f"STARTED_BY_TEST_{uuid.uuid4().hex}"
        self.marks = hook / "marks"
        self.marks.mkdir(parents=True)
        (hook / "sitecustomize.py").write_text(HOOK)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workflows", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                self._mark: "",
                "PYTHONPATH": str(hook),
                "MARKS": str(self.marks),
                "BOX_TMPDIR": TEMPORARY,
            },
            start_new_session=True,
        )

    def others(self) -> list[psutil.Process]:
        """All that it started, in the sandbox or not."""
        return [
            p
            for p in psutil.process_iter(["environ"])
            if self._mark in (p.info["environ"] or {}) and p.pid != self.process.pid
        ]

    def inside(self) -> list[psutil.Process]:
        """The Python that is started in the sandbox, and what it starts itself."""
        return [p for p in self.others() if "workflows" in _words(p)]

    def interrupt(self, when: Callable[["Run"], bool]) -> tuple[int, str, str]:
        """Send what Ctrl-C sends once this holds; the exit code, what was said, and what was said of trouble."""
        until(lambda: when(self) or self.process.poll() is not None, PATIENCE_S, pause_s=0.01)
        assert self.process.poll() is None, self.process.communicate()
        os.killpg(self.process.pid, signal.SIGINT)
        output, trouble = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, output, trouble


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def itself(module: str) -> Callable[[Run], bool]:
    return lambda run: (run.marks / f"itself {module}").exists()


def inside(module: str) -> Callable[[Run], bool]:
    return lambda run: (run.marks / f"inside {module}").exists()


@pytest.mark.parametrize("verb", ["run", "plan", "report", "query"])
@pytest.mark.parametrize("module", ["pydantic_core", "datetime"])
def test_interrupt_while_the_command_line_is_loaded(tmp_path: Path, verb: str, module: str) -> None:
    code, output, trouble = Run(tmp_path / "hook", verb, f"--results={tmp_path}").interrupt(itself(module))
    assert (code, output, trouble) == (130, "", "Interrupted.\n")


@pytest.mark.lab
@pytest.mark.skipif(not is_privileged(), reason="an ordinary user may see no memory maps in the sandbox")
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(itself("pyarrow"), id="the store is looked at"),
        pytest.param(lambda run: bool(run.others()), id="the sandbox is set up"),
        pytest.param(lambda run: any("box_init" in word for p in run.others() for word in _words(p)), id="box_init"),
        pytest.param(lambda run: bool(run.inside()), id="Python starts in it"),
        pytest.param(inside("datetime"), id="it loads the first module"),
        pytest.param(inside("pydantic_core"), id="it loads the settings"),
        pytest.param(inside("yaml"), id="it loads Hera"),
    ],
)
def test_interrupt_while_a_run_is_starting(tmp_path: Path, moment: Callable[[Run], bool]) -> None:
    results = tmp_path / "results"
    run = Run(tmp_path / "hook", "run", "--profile=smoke", "--seed=7", f"--results={results}")
    code, _, trouble = run.interrupt(moment)
    assert (code, trouble) == (130, "Interrupted.\n")
    until(lambda: not run.others(), PATIENCE_S)
    assert [path for path in results.rglob("*") if not path.name.startswith(".")] == []


def test_help_tells_the_exit_code() -> None:
    done = subprocess.run([sys.executable, "-m", "workflows", "--help"], text=True, capture_output=True, check=True)
    assert "130 interrupted before anything ran" in " ".join(done.stdout.split())
