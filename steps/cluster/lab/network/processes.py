"""The processes in network namespaces: find them, and end them."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from analysis.errors import Problem
from steps.namespaces import command_in, path

_ROOT: Final = Path(__file__).resolve().parents[4]
_DEATH_S: Final = 5.0
_POLL_S: Final = 0.002


def processes(names: Sequence[str]) -> dict[int, str]:
    """The processes in these namespaces: process id to namespace."""
    by_inode = {path(n).stat().st_ino: n for n in names if path(n).exists()}
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            inode = Path(entry.path, "ns", "net").stat().st_ino
        except OSError:  # it has ended, or belongs to another user and so not to the lab
            continue
        if inode in by_inode:
            found[int(entry.name)] = by_inode[inode]
    return found


def start_detached(namespace: str, argv: Sequence[str], log: Path) -> int:
    """Start a program, which may be a module of this project, with its output in a file; returns its process id.

    It leads a session of its own, and ends when the processes of its namespace are ended.
    """
    search = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with log.open("wb") as output:
        return subprocess.Popen(
            command_in(namespace, argv),
            env=os.environ | {"PYTHONPATH": search, "PYTHONSAFEPATH": "1"},  # no module of the current folder
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ).pid


def end_processes(names: Sequence[str]) -> None:
    """Kill what runs in these namespaces, and what it starts meanwhile.

    Raises:
        Problem: some do not end.
    """
    deadline = time.monotonic() + _DEATH_S
    while alive := processes(names):
        if time.monotonic() > deadline:
            raise Problem(f"processes {sorted(alive)} in the lab's namespaces could not be ended: kill them by hand.")
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(_POLL_S)
