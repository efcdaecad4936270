"""Stores that can't be read or written: each is a sentence that names what to do, and nothing is lost."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.errors import BadInput, Unsupported
from analysis.sql import database
from analysis.store.storage import object_storage
from analysis.store.store import Store
from tests.analysis.store.stored import rows, shown


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "results"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "RESULTS is empty"),
        ("ftp://host/x", "ftp:// is not known"),
        ("file://host/x", "takes a path on this machine"),
        ("file://", "the path is missing"),
        ("s3://", "the bucket is missing"),
        ("s3://bucket/x?acess_key=1", "'acess_key' in its query"),
    ],
)
def test_invalid_store_address(url: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Store(url)


def test_addresses_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store("a b").write("run-a", rows("run-a", "x"))
    assert shown(Store(f"file://{tmp_path}/a%20b")) == {"run-a": ("x", None)}
    assert Store("a b").location("report.html") == f"{tmp_path}/a b/report.html"


def test_file_in_the_way_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("mine")
    store = Store(str(tmp_path / "results"))
    with pytest.raises(Unsupported, match=r"can't write .*: a file is in the way of a folder"):
        store.check_writable()
    with pytest.raises(Unsupported, match="can't write"):
        store.write("run-a", rows("run-a", "x"))
    with pytest.raises(Unsupported, match="it is a file, not a folder"):
        database.connect(store)
    assert (tmp_path / "results").read_text() == "mine"


@pytest.fixture
def nobody() -> Iterator[None]:
    """Without root's right to write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_store_without_write_permission(tmp_path: Path, nobody: None) -> None:  # noqa: ARG001 - works by being there
    with pytest.raises(Unsupported, match="permission is refused; choose another RESULTS"):
        Store("/etc/results").check_writable()
    with pytest.raises(Unsupported, match="permission is refused; choose another RESULTS"):
        Store("/etc/results").write("run-a", rows("run-a", "x"))


@pytest.mark.parametrize("below", ["results", "results/new/deep"])
def test_dry_check_refuses_what_a_writer_would_not_get(tmp_path: Path, below: str) -> None:
    (tmp_path / "results").write_text("mine")
    with pytest.raises(Unsupported, match=r"can't write .*: a file is in the way of a folder"):
        Store(str(tmp_path / below)).check_writable(dry=True)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_dry_check_asks_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(path: object, flags: int, *_: object, **__: object) -> int:
        assert flags & os.O_TMPFILE, "it must leave nothing"
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Unsupported, match=r"can't write .*: (its file system is read-only|the disk is full)"):
        Store(str(tmp_path / "new")).check_writable(dry=True)


def test_dry_check_without_the_right_to_write(tmp_path: Path, nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - works by being there
    store = Store("/etc/results")
    with pytest.raises(Unsupported, match="permission is refused; choose another RESULTS"):
        store.check_writable(dry=True)
    monkeypatch.setattr(os, "O_TMPFILE", os.O_WRONLY)  # a folder opened so is one of the answers of old kernels
    with pytest.raises(Unsupported, match="permission is refused; choose another RESULTS"):
        store.check_writable(dry=True)


def test_dry_check_leaves_everything_as_it_was(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    Store(str(tmp_path)).check_writable(dry=True)
    Store(str(tmp_path / "new" / "deep")).check_writable(dry=True)
    assert (list(tmp_path.iterdir()), tmp_path.stat().st_mtime_ns) == ([], before)


def test_check_writable_leaves_nothing(store: Store) -> None:
    store.check_writable()
    assert not list(Path(store.files.root).iterdir())


FILL = """
import sys
from analysis.errors import Unsupported
from analysis.store.schema import SCHEMA_VERSION
from analysis.store.store import Store
from tests.analysis.store.stored import rows, shown
store = Store(sys.argv[1])
store.write("run-0", rows("run-0", "x"))
for number in range(1, 100):
    before = shown(store)
    try:
        store.write(f"run-{number}", rows(f"run-{number}", "x"))
    except Unsupported as error:
        print(error)
        assert shown(store) == before, "what was there is not there any more"
        break
"""


def test_full_disk_is_a_problem_and_loses_nothing(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=192k tmpfs "{tmp_path}" && exec "$0" -c "$1" "{tmp_path}/results"'
    boxed = ["unshare", "-rm", "sh", "-c"]
    if subprocess.run([*boxed, f'mount -t tmpfs tmpfs "{tmp_path}"'], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets no ordinary user mount a small file system")
    done = subprocess.run([*boxed, mount, sys.executable, FILL], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "the disk is full; free some space, or choose another RESULTS" in done.stdout


def test_partial_file_is_ignored(store: Store) -> None:
    store.files.put("x", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(Unsupported, match="the file would be larger than is allowed here"):
            store.files.put("x", b"n" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.files.read("x") == b"old"
    assert [path.name for path in Path(store.files.root).iterdir()] == ["x"]


def test_lock_held_by_a_stuck_writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "LOCK_S", 0)
    with store.files.lock(), pytest.raises(Unsupported, match="another process has been writing it"):
        Store(store.url).write("run-a", rows("run-a", "x"))
