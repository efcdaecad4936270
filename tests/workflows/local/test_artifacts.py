"""Artifacts by key: handed over in a private folder, and copied to results in a directory or a bucket."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from analysis.errors import BadInput, Problem, Unsupported
from analysis.store.storage.object_storage import ObjectStorage
from workflows.local.execution import liveness
from workflows.local.execution.artifacts import ArtifactStore


@pytest.fixture(autouse=True)
def s3_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture(params=["directory", "file-url", pytest.param("s3", marks=pytest.mark.s3)])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of results, that get copies."""
    match request.param:
        case "directory":
            yield str(tmp_path / "kept")
        case "file-url":
            yield (tmp_path / "with space").as_uri()
        case _:
            yield from _bucket()


@pytest.fixture
def repository(results: str, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(results, tmp_path / "private")


def _bucket() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - a second's import, for one test
    from pyarrow import fs  # noqa: PLC0415

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = f"endpoint_override=http%3A%2F%2F{host}%3A{port}&region=us-east-1"
    try:
        fs.FileSystem.from_uri(f"s3://kept?{options}&allow_bucket_creation=true")[0].create_dir("kept")
        yield f"s3://kept/below?{options}"
    finally:
        server.stop()


def test_artifact_round_trip_and_its_copy(repository: ArtifactStore, results: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for text in ("one", "two"):
        source.write_text(text)
        repository.put(source, "raw/x/settle.json")
        assert repository.get("raw/x/settle.json", tmp_path / text)
        assert (tmp_path / text).read_text() == text
        assert ObjectStorage(results).read("raw/x/settle.json") == text.encode()


def test_artifacts_are_read_from_the_private_folder_only(tmp_path: Path) -> None:
    repository = ArtifactStore(str(tmp_path / "kept"), tmp_path / "private")
    (tmp_path / "source").write_text("ours")
    repository.put(tmp_path / "source", "raw/run/prepare.json")
    (tmp_path / "kept/raw/run/prepare.json").write_text("theirs")
    (tmp_path / "kept/raw/run/added.json").write_text("theirs")
    assert repository.get("raw/run", tmp_path / "back")
    assert {f.name: f.read_text() for f in (tmp_path / "back").iterdir()} == {"prepare.json": "ours"}


def test_artifact_directory_round_trip_by_prefix(repository: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "a.json").write_text("a")
    (source / "inner/b.json").write_text("b")
    repository.put(source, "raw/folder")
    repository.put(source / "a.json", "raw/folder-not/other.json")
    assert repository.get("raw/folder/", tmp_path / "back")
    assert sorted(str(f.relative_to(tmp_path / "back")) for f in (tmp_path / "back").rglob("*.json")) == [
        "a.json",
        "inner/b.json",
    ]


def test_folder_of_an_active_run_is_marked(tmp_path: Path) -> None:
    repository = ArtifactStore(str(tmp_path / "kept"), tmp_path / "private")
    (tmp_path / "source").write_text("x")
    with repository.mark_active("raw/run"):
        repository.put(tmp_path / "source", "raw/run/visit-01/settle.json")
        assert (tmp_path / "kept/raw/run" / liveness.MARK).exists()
    assert [f.name for f in (tmp_path / "kept/raw/run").rglob("*") if f.is_file()] == ["settle.json"]


def test_missing_artifact_is_a_problem(repository: ArtifactStore, tmp_path: Path) -> None:
    assert not repository.get("raw/none", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", ""])
def test_artifact_key_stays_below_the_root(key: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.touch()
    with pytest.raises(Problem, match="must be a relative path"):
        ArtifactStore(str(tmp_path / "kept"), tmp_path / "private").put(source, key)


def test_failed_artifact_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ArtifactStore(str(tmp_path / "kept"), tmp_path / "private")
    source = tmp_path / "source"
    source.write_text("old")
    kept.put(source, "x")

    def full(incoming: BinaryIO, out: BinaryIO) -> None:
        if str(tmp_path / "kept") in os.readlink(f"/proc/self/fd/{out.fileno()}"):  # noqa: PTH115
            raise OSError(28, os.strerror(28))
        out.write(incoming.read())

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(Problem, match="the disk is full; free some space"):
        kept.put(source, "x")
    assert [f.name for f in (tmp_path / "kept").iterdir()] == ["x"]
    assert (tmp_path / "kept/x").read_text() == "old"


def test_invalid_artifact_location_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unsupported, match=r"can't write .*: a file is in the way of a folder; choose another RESULTS"):
        ArtifactStore(str(tmp_path / "file" / "below"), tmp_path)
    with pytest.raises(BadInput, match="can't be 'nosuch://x': nosuch:// is not known"):
        ArtifactStore("nosuch://x", tmp_path)


@pytest.mark.s3
def test_s3_artifact_equals_the_file(tmp_path: Path) -> None:
    """Whatever it is called: what is compressed already is not compressed again."""
    compressed = tmp_path / "x.json.gz"
    compressed.write_bytes(b"\x1f\x8b anything")
    for results in _bucket():
        ArtifactStore(results, tmp_path / "private").put(compressed, "raw/x.json.gz")
        assert ObjectStorage(results).read("raw/x.json.gz") == b"\x1f\x8b anything"
