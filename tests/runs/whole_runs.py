"""Whole runs as processes, as a user starts them: what is common to the modules that start some."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from analysis.sql import database
from analysis.store.store import Store
from tests import machine
from tests.waiting import until

SHORT = ("--profile=smoke", "--seed=7", "--services=10", "--foreign-cpu-limit=1")
"""However busy the machine is, no trial is measured again: here it counts that things work, not how fast."""

FEW = (*SHORT, "--topologies=pod-to-pod", "--protocols=tcp")
PATIENCE_S = 600
"""However busy the machine is: a run that waits for others is not one that hangs."""
MARK = f"STARTED_BY_TEST_{uuid.uuid4().hex}"


_IPERF3 = """#!/bin/bash
case " $* " in
*" -c "*)
  {iperf3} -b 100M "$@" | sed 's/\\("target_bitrate":\\s*\\)100000000\\b/\\10/'
  exit "${{PIPESTATUS[0]}}" ;;
*) exec {iperf3} "$@" ;;
esac
"""
"""It sends at 100 Mbit/s where no rate is asked for, and says nothing of it.

The shell waits for sed, whose output would be lost if it came after the program's end.
"""

_SITECUSTOMIZE = """
import importlib.util, sys

class Undrawn:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "analysis.charts":
            return None
        sys.meta_path.remove(Undrawn)
        from unittest.mock import MagicMock
        sys.modules |= dict.fromkeys(("altair", "altair.utils", "altair.utils.schemapi"), MagicMock())
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def load_undrawn(module):
            load(module)
            module.to_specs = lambda *_: {}
        spec.loader.exec_module = load_undrawn
        return spec

sys.meta_path.insert(0, Undrawn)
"""
"""As the fixture `without_charts`: reports have no drawings, and nothing that would draw is loaded."""


@functools.cache
def _stand_ins() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="frugal-runs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)  # a run may be another user's
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    if real := shutil.which("iperf3"):
        (folder / "iperf3").write_text(_IPERF3.format(iperf3=real))
        (folder / "iperf3").chmod(0o755)
    return folder


def frugal(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a run that costs little: at full speed, and with charts, each keeps two cores busy.

    It is for tests of runs that look neither at figures nor at charts.
    """
    first = str(_stand_ins())
    return dict(env) | {name: os.pathsep.join(filter(None, [first, env.get(name)])) for name in ("PATH", "PYTHONPATH")}


def start_command(*argv: str, env: dict[str, str] | None = None, full: bool = False) -> subprocess.Popen[str]:
    """Start it, with this environment beside the machine's.

    Args:
        argv: the command.
        env: variables of the environment.
        full: whether its runs send at full speed and draw charts.
    """
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**(os.environ if full else frugal(os.environ)), MARK: "", **(env or {})},
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    printed, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, printed


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output so far, up to and with the line that holds the text. A process that never prints it is killed."""
    assert process.stdout is not None
    lines = []
    patience = threading.Timer(PATIENCE_S, process.kill)
    patience.start()
    try:
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return "".join(lines)
    finally:
        patience.cancel()
    raise AssertionError(f"{text!r} never came:\n{''.join(lines)}")


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """No process of the run, and no new named network namespace or eBPF program outside a sandbox."""

    def namespaces() -> set[str]:
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        return set(listed.split())

    def left() -> tuple[list[str], set[str], set[int]]:
        running = [" ".join(p.info["cmdline"] or []) for p in machine.processes(MARK)]
        return running, namespaces() - named, programs.look()

    named, programs = namespaces(), machine.NewStrayPrograms()
    yield
    with suppress(AssertionError):
        until(lambda: not any(left()))
    assert left() == ([], set(), set())


def rows(store: Path, sql: str) -> list[dict[str, Any]]:
    with database.connect(Store(str(store))) as con:
        found: list[dict[str, Any]] = database.query(con, sql).to_pylist()
    return found
