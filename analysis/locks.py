"""Locks on files, which the kernel releases however their holder ends; for the store, runs and mutexes."""

import errno
import fcntl
import time
from typing import Final

_RETRY_S: Final = 0.05
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP})


class NoLocksError(OSError):
    """The file system of a file has no locks."""


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file unless another process holds it; returns whether it is locked now.

    `shared`: other processes may hold a shared lock too.

    Raises:
        NoLocksError: the file system has no locks.
        OSError: it can't be locked for another reason.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoLocksError(error.errno, error.strerror) from error
        raise
    return True


def lock(descriptor: int, timeout_s: float) -> bool:
    """Take an exclusive lock, waiting so long for another holder; False where it still holds the lock then."""
    deadline = time.monotonic() + timeout_s
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(_RETRY_S)
    return True
