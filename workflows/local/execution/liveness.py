"""Whether a run is active: its engine holds a lock in the run's folder, which ends with the process."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from analysis import locks

MARK: Final = ".running"
"""The lock file in the run's folder: deleted when the run ends, unlocked when the run was killed."""

State = Literal["ended", "running", "unknown"]
"""Of a run; unknown where its file can't be locked, as on some file systems, or belongs to another user."""


@contextlib.contextmanager
def hold_run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run. If the folder is empty afterwards, it is deleted.

    Raises:
        OSError: the folder can't be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MARK
    with locks.open_file(path, os.O_RDWR | os.O_CREAT, 0o644) as descriptor:
        with contextlib.suppress(OSError):  # a file system without locks
            locks.lock(descriptor, math.inf)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
                folder.rmdir()


@contextlib.contextmanager
def run_state(folder: Path) -> Iterator[State]:
    """The state of the run in a folder. The lock of a run that has ended is held meanwhile: no one else collects it."""
    with contextlib.ExitStack() as stack:
        yield _state(folder / MARK, stack)


def _state(path: Path, stack: contextlib.ExitStack) -> State:
    try:
        return "ended" if locks.try_lock(stack.enter_context(locks.open_file(path, os.O_RDONLY))) else "running"
    except FileNotFoundError:
        return "ended"
    except OSError:
        return "unknown"
