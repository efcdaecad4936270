"""The process of a step: it isolates itself, then runs the step as its pod on Argo does.

Everything imported here is loaded once, by the server that forks the steps.
"""

import ctypes
import gc
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Final

from analysis.console.sanitizing import sanitize_standard_error
from steps.tasks import run

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class StepStart:
    """What a step's process needs. `env` is its whole environment."""

    entrypoint: str
    arguments: Path
    env: dict[str, str]
    stderr: Path


def _redirect(path: Path, *descriptors: int) -> None:
    flags = os.O_RDWR if str(path) == os.devnull else os.O_WRONLY | os.O_CREAT | os.O_APPEND
    opened = os.open(path, flags, 0o644)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)
    os.close(opened)


def run_step(start: StepStart) -> None:
    """Run one step; ends the process with the step's exit code.

    The step leads a session and a process group of its own: it can be stopped together with what it started, and Ctrl-C
    in a terminal does not reach it. It ends with the engine, even if the engine is killed.
    """
    gc.freeze()  # what the server loaded: a collection would write into each page of it, and so copy it
    os.setsid()
    # Otherwise the server would not end with the engine while this step runs.
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]  # noqa: SLF001
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(start.env)
    _redirect(Path(os.devnull), 0, 1)
    _redirect(start.stderr, 2)
    sanitize_standard_error()
    code = 0
    try:
        code = run.main([start.entrypoint, str(start.arguments)], start.env)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - any error ends the step, as it would end its pod
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
