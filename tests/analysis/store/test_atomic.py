"""Atomic writes: a file is whole or as it was, whatever happens to its writer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.store.storage import atomic
from analysis.store.storage.folder import Folder

KILLED = """
import os, signal, sys
from pathlib import Path
from analysis.store.storage import atomic
with atomic.replacing(Path(sys.argv[1])) as stream:
    stream.write(b"new")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_atomic_write_makes_missing_folders_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a/b/file"
    for content in (b"one", b"two"):
        atomic.write(path, content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_error_during_an_atomic_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write(path, b"old")

    def fail() -> None:
        with atomic.replacing(path) as stream:
            stream.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_kill_during_an_atomic_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write(path, b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    (left,) = tmp_path.glob(f".*{atomic.TEMPORARY}")
    assert left.read_bytes() == b"new", "it was killed while it wrote"


def test_durable_atomic_write_syncs_the_file_before_its_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    path = tmp_path / "file"
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(f"{Path(f'/proc/self/fd/{fd}').readlink().name} {path.exists()}")
    )
    with Folder(tmp_path).replacing("file", durable=True):
        pass
    first, second = synced
    assert first.startswith(".file.")
    assert first.endswith(f"{atomic.TEMPORARY} False")
    assert second == f"{tmp_path.name} True"
    atomic.write(path, b"y")
    assert len(synced) == 2
