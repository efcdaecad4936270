"""Run a function of `scripts.py` in a sandbox, as root or as an ordinary user, and hand back what it returned."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from steps.cluster.lab.namespaces import PACKAGES
from steps.cluster.lab.sandbox import is_privileged
from tests.ordinary import AS_NOBODY, ROOT, environment

ENTER = "import sys; from steps.cluster.lab import sandbox; sys.exit(sandbox.run_in_sandbox(sys.argv[1:]))"


def command(*argv: str, python: str = sys.executable) -> list[str]:
    """The argument vector that runs a program in a sandbox from a process of its own."""
    return [python, "-c", ENTER, *argv]


def call(prefix: tuple[str, ...], python: str, name: str, *arguments: object) -> Any:  # noqa: ANN401 - JSON
    """Call a function of `scripts.py` in a sandbox."""
    inner = (python, "-m", "tests.steps.lab.scripts", name, json.dumps(arguments))
    done = subprocess.run(
        [*prefix, *command(*inner, python=python)],
        cwd=ROOT,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


Boxed = Callable[..., Any]


@pytest.fixture(scope="session")
def boxed() -> Boxed:
    """Calls a function of `scripts.py` in a sandbox, as root."""
    if not is_privileged():
        pytest.skip("needs root, for network namespaces and eBPF")
    if missing := [program for program in PACKAGES if shutil.which(program) is None]:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install {' '.join({PACKAGES[m] for m in missing})}")
    return lambda name, *arguments: call((), sys.executable, name, *arguments)


@pytest.fixture(scope="session")
def boxed_ordinary(ordinary_python: str) -> Boxed:
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
    return lambda name, *arguments: call(prefix, ordinary_python, name, *arguments)
