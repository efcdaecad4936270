"""File locks: one holder at a time, shared ones beside each other, and file systems without any."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import locks
from analysis.store.storage.folder import Folder

HOLDER = """
import os, sys
from analysis import locks
from analysis.store.storage.folder import Folder
with Folder(sys.argv[1]).open_file("lock", os.O_RDWR | os.O_CREAT) as descriptor:
    print(locks.try_lock(descriptor), flush=True)
    sys.stdin.read()
"""


def test_lock_has_one_holder_and_is_released_by_its_end(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.open_file("lock", os.O_RDWR | os.O_CREAT) as one, folder.open_file("lock", os.O_RDONLY) as other:
        assert locks.try_lock(one)
        assert not locks.try_lock(other)
        assert not locks.try_lock(other, shared=True)
        assert not locks.lock(other, timeout_s=0)
    with folder.open_file("lock", os.O_RDONLY) as other:
        assert locks.lock(other, timeout_s=0)


def test_shared_locks_keep_out_an_exclusive_one_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.open_file("lock", os.O_RDWR | os.O_CREAT) as one, folder.open_file("lock", os.O_RDONLY) as other:
        assert locks.try_lock(one, shared=True)
        assert locks.try_lock(other, shared=True)
        assert not locks.try_lock(other)


def test_lock_is_waited_for_until_its_holder_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        with Folder(tmp_path).open_file("lock", os.O_RDWR) as descriptor:
            assert not locks.try_lock(descriptor)
            holder.kill()
            assert locks.lock(descriptor, timeout_s=30)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
def test_file_system_without_locks_is_known_from_other_errors(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Folder(tmp_path).open_file("lock", os.O_RDWR | os.O_CREAT) as descriptor:
        with pytest.raises(locks.NoLocksError, match=os.strerror(code)):
            locks.try_lock(descriptor)
        code = errno.EINVAL
        with pytest.raises(OSError, match="Invalid") as raised:
            locks.try_lock(descriptor)
        assert not isinstance(raised.value, locks.NoLocksError)
