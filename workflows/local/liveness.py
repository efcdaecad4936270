"""Whether the engine of a run is alive: it holds a lock in the run's folder, which ends with the process."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

MARK: Final = ".running"
"""The lock file in the run's folder. It is gone when the run has ended, and free when the run was killed."""

State = Literal["ended", "running", "unknown"]
"""Of a run; unknown where its file can't be locked, as on some file systems, or is another user's."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a run. A folder in which nothing else was put is gone afterwards.

    Raises:
        OSError: the folder can't be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MARK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
            folder.rmdir()
        os.close(descriptor)


@contextlib.contextmanager
def looked_at(folder: Path) -> Iterator[State]:
    """The state of the run whose folder it is; one that has ended is kept from everybody else meanwhile."""
    try:
        descriptor = os.open(folder / MARK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield "ended"
        return
    except OSError:
        yield "unknown"
        return
    try:
        yield _state(descriptor)
    finally:
        os.close(descriptor)


def _state(descriptor: int) -> State:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "running"
    except OSError:
        return "unknown"
    return "ended"
