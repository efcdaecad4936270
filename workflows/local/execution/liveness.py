"""Whether a run is active: its engine holds a lock in the run's folder, which ends with the process."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Final, Literal

from analysis import locks
from analysis.store.storage.folder import Folder

MARK: Final = ".running"
"""The lock file in the run's folder: deleted when the run ends, unlocked when the run was killed."""

LOCK_S: Final = 60

Liveness = Literal["ended", "running", "unknown"]
"""Of a run; unknown where its file can't be locked, as on some file systems, or belongs to another user."""


@contextlib.contextmanager
def hold_run_lock(results: Folder, run_folder: str) -> Iterator[None]:
    """Hold the lock of a run. If its folder is empty afterwards, it is deleted.

    Raises:
        OSError: the folder can't be made or written.
    """
    mark = f"{run_folder}/{MARK}"
    with results.open_file(mark, os.O_RDWR | os.O_CREAT, 0o644) as descriptor:
        with contextlib.suppress(locks.NoLocksError):
            if not locks.lock(descriptor, LOCK_S):
                raise OSError(errno.EBUSY, f"another process has locked {MARK} for {LOCK_S} s")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                results.delete(mark)
                results.delete_folder(run_folder)


@contextlib.contextmanager
def run_state(results: Folder, run_folder: str) -> Iterator[Liveness]:
    """The state of a run. The lock of a run that has ended is held meanwhile, so that no one else collects it."""
    state: Liveness
    with contextlib.ExitStack() as stack:
        try:
            descriptor = stack.enter_context(results.open_file(f"{run_folder}/{MARK}"))
            state = "ended" if locks.try_lock(descriptor) else "running"
        except FileNotFoundError:
            state = "ended"
        except OSError:
            state = "unknown"
        yield state
