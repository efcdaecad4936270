"""A folder's contents are opened without following symbolic links below it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.store.storage import folder as folders
from analysis.store.storage.copying import TooLargeError
from analysis.store.storage.folder import Folder, LinkError

OUTSIDE = b"private"
MOST_BYTES = 100


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody else."""
    folder = tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_bytes(OUTSIDE)
    (folder / "inner/file").write_bytes(OUTSIDE)
    return folder


@pytest.fixture
def folder(tmp_path: Path, outside: Path) -> Folder:
    """A folder in which `file`, `link`, `up` and `deep/link` lead out of it."""
    root = tmp_path / "results"
    (root / "deep").mkdir(parents=True)
    (root / "own").write_bytes(b"own")
    (root / "file").symlink_to(outside / "file")
    (root / "link").symlink_to(outside)
    (root / "up").symlink_to("..")
    (root / "deep/link").symlink_to("../../outside/inner")
    (root / "gone").symlink_to(outside / "new")
    return Folder(root)


def read(folder: Folder, name: str) -> bytes:
    with folder.reading(name) as stream:
        return stream.read()


def write(folder: Folder, name: str) -> None:
    with folder.replacing(name) as stream:
        stream.write(b"mine")


def touch(folder: Folder, name: str) -> None:
    with folder.open_file(name, os.O_RDWR | os.O_CREAT):
        pass


def list_folder_of(folder: Folder, name: str) -> None:
    folder.entries(name.rpartition("/")[0])


def fetch(folder: Folder, name: str) -> None:
    folder.fetch(name, folder.root.parent / "copy", MOST_BYTES)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


Action = Callable[[Folder, str], object]

ACTIONS: list[Action] = [
    read,
    write,
    touch,
    Folder.delete,
    list_folder_of,
    fetch,
]


@pytest.mark.parametrize("act", ACTIONS)
@pytest.mark.parametrize("name", ["link/file", "link/inner/file", "up/outside/file", "deep/link/file", "link/new"])
def test_link_to_a_folder_is_not_followed(act: Action, name: str, folder: Folder, outside: Path) -> None:
    before = contents(outside)
    with pytest.raises(LinkError) as caught:
        act(folder, name)
    assert caught.value.filename in {"link", "up", "deep/link"}
    assert contents(outside) == before
    assert not (folder.root.parent / "copy").exists()


@pytest.mark.parametrize("act", [read, touch, fetch])
@pytest.mark.parametrize("name", ["file", "gone"])
def test_link_to_a_file_is_not_followed(act: Action, name: str, folder: Folder, outside: Path) -> None:
    with pytest.raises(LinkError):
        act(folder, name)
    assert sorted(contents(outside)) == ["file", "inner/file"]


def test_link_itself_is_replaced_or_deleted(folder: Folder, outside: Path) -> None:
    write(folder, "file")
    assert read(folder, "file") == b"mine"
    folder.delete("link")
    assert contents(outside) == {"file": OUTSIDE, "inner/file": OUTSIDE}


def test_copy_of_a_folder_with_a_link_in_it_is_refused(folder: Folder) -> None:
    with pytest.raises(LinkError):
        folder.fetch("deep", folder.root.parent / "copy", MOST_BYTES)


@pytest.mark.parametrize(
    "name", ["..", "../outside/file", "deep/../../outside/file", "/etc/hostname", "deep//x", "./own", "a\0b"]
)
@pytest.mark.parametrize("act", ACTIONS)
def test_path_that_leads_out_of_the_folder_is_refused(act: Action, name: str, folder: Folder) -> None:
    with pytest.raises(OSError, match="can't be the name of a file or folder"):
        act(folder, name if act is not list_folder_of else f"{name}/x")


def test_links_in_the_path_of_the_folder_itself_are_followed(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder.root)
    assert read(Folder(tmp_path / "alias"), "own") == b"own"


def test_files_are_listed_written_copied_and_deleted(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "new/root")
    assert folder.entries("") == []
    assert not folder.exists("a/b/file")
    write(folder, "a/b/file")
    write(folder, "a/b/.hidden")
    assert {(one.name, one.is_file) for one in folder.entries("a", recursive=True)} == {
        ("b", False),
        ("b/file", True),
        ("b/.hidden", True),
    }
    assert folder.fetch("a", tmp_path / "copy", MOST_BYTES)
    assert contents(tmp_path / "copy") == {"b/file": b"mine"}
    assert folder.fetch("a/b/file", tmp_path / "one/file", MOST_BYTES)
    assert not folder.fetch("a/none", tmp_path / "none", MOST_BYTES)
    folder.delete("a/b/file")
    assert [one.name for one in folder.entries("a/b")] == [".hidden"]


def test_pipe_is_no_file_to_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is no regular file"):
        read(Folder(tmp_path), "pipe")


def test_folder_without_the_right_to_list_it_can_be_passed(tmp_path: Path) -> None:
    write(Folder(tmp_path), "inner/file")
    (tmp_path / "inner").chmod(0o311)
    assert read(Folder(tmp_path), "inner/file") == b"mine"


@pytest.mark.parametrize(("sizes", "fits"), [((100,), True), ((101,), False), ((60, 60), False), ((2**40,), False)])
def test_copy_of_a_folder_is_bounded(tmp_path: Path, sizes: tuple[int, ...], *, fits: bool) -> None:
    (tmp_path / "root/run").mkdir(parents=True)
    for number, size in enumerate(sizes):
        with (tmp_path / f"root/run/{number}").open("wb") as sparse:
            sparse.truncate(size)
    folder = Folder(tmp_path / "root")
    if fits:
        assert folder.fetch("run", tmp_path / "copy", MOST_BYTES)
    else:
        with pytest.raises(TooLargeError, match="it has more than"):
            folder.fetch("run", tmp_path / "copy", MOST_BYTES)
    assert sum(f.stat().st_size for f in (tmp_path / "copy").iterdir()) <= MOST_BYTES


def test_listing_of_a_folder_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_FILES", 3)
    for number in range(3):
        (tmp_path / str(number)).touch()
    assert len(Folder(tmp_path).entries("")) == 3
    (tmp_path / "3").touch()
    with pytest.raises(TooLargeError, match="it has more than 3 files"):
        Folder(tmp_path).entries("")
