"""Root's rights on the folder of another user: none beyond that user's own.

The kernel checks access to files by a thread's filesystem ids. Setting them to the owner's takes root's way around
permissions from the thread, so that no link or swapped folder leads it to a file that the owner could not open; and
what it creates belongs to the owner. The owner can't signal or trace this process meanwhile, as it could one that runs
as the owner.
"""

import contextlib
import ctypes
import errno
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.console.commands import RESULTS_OWNER

_UID_MAP: Final = Path("/proc/self/uid_map")
_LIBC: Final = ctypes.CDLL(None)
_UNCHANGED: Final = 0xFFFFFFFF
"""No valid id: setting it changes nothing and returns the current one."""

for _set_id in (_LIBC.setfsuid, _LIBC.setfsgid):
    _set_id.argtypes, _set_id.restype = [ctypes.c_uint], ctypes.c_uint


@dataclass(frozen=True, slots=True)
class Owner:
    """A user and its primary group."""

    uid: int
    gid: int

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """Access files with the rights of this user for the block, in this thread alone.

        Raises:
            OSError: this process may not do that.
        """
        before_gid, before_uid = _LIBC.setfsgid(self.gid), _LIBC.setfsuid(self.uid)
        try:
            if (_LIBC.setfsuid(_UNCHANGED), _LIBC.setfsgid(_UNCHANGED)) != (self.uid, self.gid):
                raise OSError(errno.EPERM, f"can't access files as user {self.uid}")
            yield
        finally:
            _LIBC.setfsuid(before_uid)
            _LIBC.setfsgid(before_gid)


def owner_of(uid: int) -> Owner:
    """The owner with this uid. A user that this machine has no entry of gets no group but nogroup."""
    try:
        return Owner(uid, pwd.getpwuid(uid).pw_gid)
    except KeyError:
        return Owner(uid, 65534)


def is_root() -> bool:
    """Whether this process has rights that other users lack. Root of a user namespace with one user has none."""
    return os.geteuid() == 0 and sum(int(line.split()[2]) for line in _UID_MAP.read_text().splitlines()) > 1


def act_as(owner: Owner) -> None:
    """From now on this process, and those that it starts, access the results' folder as its owner."""
    os.environ[RESULTS_OWNER] = f"{owner.uid}:{owner.gid}"
    os.setgroups([])  # root's groups would give the owner access to their files


def acting_owner() -> Owner | None:
    """The owner as whom this process accesses the results' folder; None: as itself."""
    if not (text := os.environ.get(RESULTS_OWNER)) or os.geteuid() != 0:
        return None
    uid, _, gid = text.partition(":")
    return Owner(int(uid), int(gid))
