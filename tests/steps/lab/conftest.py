"""Call functions of `scripts.py` in a sandbox, as root or as an ordinary user."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from steps.cluster.lab.capabilities import is_privileged
from tests import lab_programs
from tests.ordinary import AS_NOBODY, ROOT, environment

_PATIENCE_S = 600

ENTER = "import sys; from steps.cluster.lab import sandbox; sys.exit(sandbox.run_in_sandbox(sys.argv[1:]))"


def command(*argv: str, python: str = sys.executable) -> list[str]:
    """The argument vector that runs a program in a sandbox from a process of its own."""
    return [python, "-c", ENTER, *argv]


class SandboxServer:
    """A sandbox in which functions of `scripts.py` are called, one after another; each leaves it as it was."""

    def __init__(self, prefix: tuple[str, ...], python: str) -> None:
        self._process = subprocess.Popen(
            [*prefix, *command(python, "-m", "tests.steps.lab.server", python=python)],
            cwd=ROOT,
            env=environment(),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __call__(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - JSON
        """What a function of `scripts.py` returns."""
        asking, answering = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answering is not None
        asking.write(json.dumps([name, arguments]) + "\n")
        asking.flush()
        assert select.select([answering], [], [], _PATIENCE_S)[0], f"{name} did not end within {_PATIENCE_S} s"
        line = answering.readline()
        assert line, f"{name} ended its sandbox"
        answer = json.loads(line)
        assert "error" not in answer, f"{name}:\n{answer['error']}"
        return answer["returned"]

    def stop(self) -> None:
        """End the sandbox."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def root_sandbox() -> Iterator[SandboxServer]:
    """Calls a function of `scripts.py` in a sandbox, as root."""
    if not is_privileged():
        pytest.skip("needs root, for network namespaces and eBPF")
    if lacking := lab_programs.lacking():
        pytest.skip(lacking)
    server = SandboxServer((), sys.executable)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ordinary_sandbox(ordinary_python: str) -> Iterator[SandboxServer]:
    """Calls a function of `scripts.py` in a sandbox, as an ordinary user."""
    prefix = AS_NOBODY if os.geteuid() == 0 else ()
    tried = subprocess.run(
        [*prefix, *command("true", python=ordinary_python)],
        cwd=ROOT,
        env=environment(),
        text=True,
        capture_output=True,
        check=False,
    )
    if tried.returncode != 0:
        pytest.skip(f"an ordinary user may make no sandbox here: {tried.stderr.strip()[-200:]}")
    server = SandboxServer(prefix, ordinary_python)
    yield server
    server.stop()
