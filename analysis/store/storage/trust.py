"""Who can change a folder: each part of its path, as sshd checks it for authorized_keys.

A folder that another user owns or may write, or that lies in one, can be swapped for a link to any other at any moment.
"""

import contextlib
import errno
import grp
import os
import pwd
import stat
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.console.commands import RESULTS_OWNER
from analysis.errors import Unsupported
from analysis.store.storage import owner
from analysis.store.storage.storage_errors import error_reason

ACL: Final = "system.posix_acl_access"
"""The extended attribute of a POSIX access control list."""

_TEMPORARY: Final = "/tmp"  # noqa: S108 - it has the sticky bit
_MOST_LINKS: Final = 40
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class UntrustedPart:
    """A part of a path that another user controls. `uid`: its owner; None: others may write it."""

    path: Path
    uid: int | None
    who: str


class _NoFolderError(NotADirectoryError):
    """A part of a path is there and neither a folder nor a link."""


def use_folder(root: str, *, as_owner: bool, create: bool = False) -> None:
    """Check that root may use the folder of a store, or make this process use it as the user who controls it.

    Root's temporary files are kept out of folders of other users, too. `as_owner`: a folder of another user is used, as
    that user. `create`: missing folders are made, once it is checked that only root can make others in their place.

    Raises:
        Unsupported: it is no folder, or another user controls it, and this is not permitted.
    """
    os.environ.pop(RESULTS_OWNER, None)
    if not owner.is_root():
        return
    trusted = frozenset({0, _installer()})
    try:
        if find_fault(Path(tempfile.gettempdir()), trusted) is not None:  # as after `sudo -E`
            os.environ["TMPDIR"] = tempfile.tempdir = _TEMPORARY
        fault = find_fault(Path(root), trusted, create=create)
    except _NoFolderError as error:
        raise Unsupported(f"can't use {root}: {error.filename} is no folder; choose another RESULTS") from None
    except OSError as error:
        raise Unsupported(f"can't read {root}: {error_reason(error, root)}") from error
    if fault is None:
        return
    if fault.uid is None:
        raise Unsupported(
            f"root does not use {root}: {fault.path} is writable by {fault.who}, who could put a link to any other "
            f"folder there. Type `chmod go-w {fault.path}` (`setfacl -b`, if it has an ACL), or choose another RESULTS."
        )
    if not as_owner:
        raise Unsupported(
            f"root does not use {root}: {fault.path} belongs to {fault.who}, who could put a link to any other folder "
            f"there. Add AS_OWNER=1 (--as-owner) to read and write it as {fault.who}, or choose another RESULTS."
        )
    owner.act_as(owner.owner_of(fault.uid))


def find_fault(path: Path, trusted: frozenset[int], *, create: bool = False) -> UntrustedPart | None:
    """The first part of a folder's path, links in it resolved, that a user who is not trusted controls, if any.

    `create`: missing parts are made; else the path ends before the first.

    Raises:
        OSError: a part is there and no folder, can't be read, or there are too many links.
    """
    place, links = Path("/"), 0
    waiting = deque(Path(os.path.abspath(path)).parts[1:])  # noqa: PTH100 - links are resolved one by one below
    fault = _fault_at(place, trusted)
    while waiting and fault is None:
        part = waiting.popleft()
        if part == "..":
            place = place.parent
            continue
        found = place / part
        if create:
            with contextlib.suppress(OSError):  # it exists, or writing to the folder fails with a sentence
                found.mkdir()
        try:
            mode = found.lstat().st_mode
            fault = _fault_at(found, trusted)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(mode):
            if not stat.S_ISDIR(mode):  # its permissions are no remedy
                raise _NoFolderError(errno.ENOTDIR, "it is no folder", str(found))
            place = found
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, "too many symbolic links", str(path))
        target = found.readlink()
        place = Path("/") if target.is_absolute() else place
        waiting.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
    return fault


def _fault_at(path: Path, trusted: frozenset[int]) -> UntrustedPart | None:
    status = path.lstat()
    if status.st_uid not in trusted:
        return UntrustedPart(path, status.st_uid, _user(status.st_uid))
    mode = status.st_mode
    # With the sticky bit, as /tmp has it, others can add files, but not rename or delete those of trusted users.
    if stat.S_ISLNK(mode) or mode & stat.S_ISVTX or not mode & _OTHERS_MAY_WRITE:
        return None
    if mode & stat.S_IWOTH:
        return UntrustedPart(path, None, "everyone")
    if ACL in os.listxattr(path) or not _members(status.st_gid) <= {_user(uid) for uid in trusted}:
        return UntrustedPart(path, None, f"group {_group(status.st_gid)}")
    return None


def _members(gid: int) -> set[str]:
    """The users in a group; a group that this machine has no entry of may have any."""
    try:
        listed = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return {f"group {gid}"}
    return listed | {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}


def _user(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}"


def _group(gid: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)


def _installer() -> int:
    """The owner of this program's files, who decides anyway what root runs here."""
    return Path(__file__).stat().st_uid
