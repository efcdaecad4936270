"""Argo's mutexes on one machine: a file lock each, which the kernel releases however its holder ends."""

import asyncio
import contextlib
import errno
import os
import re
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from analysis import locks
from analysis.errors import Unsupported
from steps.measurement.monitors.interference import HOST_PROC

_RETRY_S: Final = 0.2
_SHARED: Final = Path("/tmp")  # noqa: S108 - not TMPDIR, which differs by user, and in the lab's sandbox


def lock_path(name: str, directory: Path | None = None) -> Path:
    """The lock file of a mutex: one for all users of the machine, which they share."""
    return (directory or _SHARED) / f"dataplane-benchmark-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}.lock"


def _open(path: Path) -> int:
    """Open a lock file in a directory in which any user may have put something else of that name."""
    reason = os.strerror(errno.ENOENT)
    # Not O_CREAT at once: in /tmp the kernel refuses that on another user's file, even to root.
    for flags in (os.O_RDWR, os.O_RDONLY, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDONLY):
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        except (FileNotFoundError, FileExistsError):
            continue  # what the other tries say is the reason
        except OSError as error:
            reason = error.strerror or str(error)
            continue
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            if flags & os.O_CREAT:  # for all users, whatever this one's umask is
                os.fchmod(descriptor, 0o644)
            return descriptor
        os.close(descriptor)
        reason = "it is no regular file"
        break
    if os.path.lexists(path):
        raise Unsupported(f"lock file {path} can't be opened: {reason}; remove it.")
    if not path.parent.is_dir():
        raise Unsupported(
            f"lock file {path} can't be created: there is no folder {path.parent}; make it, writable for all."
        )
    raise Unsupported(f"lock file {path} can't be created: {reason}; make room for it, and {path.parent} writable.")


@contextlib.asynccontextmanager
async def hold(
    names: Sequence[str],
    holder: str,
    waiting: Callable[[str], None],
    give_up: Callable[[], bool],
    directory: Path | None = None,
) -> AsyncIterator[bool]:
    """Hold all mutexes; taken in the order of their names, so that two runs can't wait for each other.

    `holder`: shown to others who wait for them. `waiting`: called once with a sentence for each mutex that another run
    holds. `give_up`: whether to stop waiting. `directory`: of the lock files; None: the one that all users of the
    machine share.

    Yields:
        Whether they are held; False: the wait was given up.

    Raises:
        Unsupported: a lock file can't be opened.
    """
    with contextlib.ExitStack() as opened:
        for name in sorted(set(names)):
            path = lock_path(name, directory)
            descriptor = _open(path)
            opened.callback(os.close, descriptor)
            reported = False
            while not locks.try_lock(descriptor):
                if give_up():
                    yield False
                    return
                if not reported:
                    who = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
                    waiting(f"Waiting for local/Mutex/{name} lock: it is held by {who or 'another run'}")
                    reported = True
                await asyncio.sleep(_RETRY_S)
            _sign(descriptor, f"{holder} (process {process_id()}) since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        yield True


def process_id() -> int:
    """The number by which the machine knows this process, also in the lab's sandbox, which numbers its own."""
    with contextlib.suppress(OSError, ValueError):
        return int((HOST_PROC / "self").readlink().name)
    return os.getpid()


def _sign(descriptor: int, text: str) -> None:
    # Another user's file can be locked, but not always written; and one with a second name may be any file.
    with contextlib.suppress(OSError):
        if os.fstat(descriptor).st_nlink == 1:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text.encode(), 0)
