"""Artifacts by key, below a directory and in a bucket."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.errors import BadInput, Problem, Unsupported
from analysis.store import atomic
from workflows.local.execution.artifacts import ArtifactStore


@pytest.fixture(autouse=True)
def s3_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture(params=["directory", "file-url", pytest.param("s3", marks=pytest.mark.s3)])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArtifactStore]:
    match request.param:
        case "directory":
            yield ArtifactStore(str(tmp_path / "kept"))
        case "file-url":
            yield ArtifactStore((tmp_path / "with space").as_uri())
        case _:
            yield from _bucket()


def _bucket() -> Iterator[ArtifactStore]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - a second's import, for one test
    from pyarrow import fs  # noqa: PLC0415

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = f"endpoint_override=http%3A%2F%2F{host}%3A{port}&region=us-east-1"
    try:
        fs.FileSystem.from_uri(f"s3://key:secret@kept?{options}&allow_bucket_creation=true")[0].create_dir("kept")
        yield ArtifactStore(f"s3://kept/below?{options}")
    finally:
        server.stop()


def test_artifact_file_round_trip(repository: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for text in ("one", "two"):
        source.write_text(text)
        repository.put(source, "raw/x/settle.json")
        assert repository.get("raw/x/settle.json", tmp_path / text)
        assert (tmp_path / text).read_text() == text


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


def test_a_folder_comes_back_without_locks_and_half_written_files(tmp_path: Path) -> None:
    kept = ArtifactStore(str(tmp_path / "kept"))
    with kept.mark_active("raw/run"):
        (tmp_path / "source").write_text("x")
        kept.put(tmp_path / "source", "raw/run/visit-01/settle.json")
        (tmp_path / f"kept/raw/run/visit-01/.settle.json.1{atomic.TEMPORARY}").write_text("half")
        assert kept.get("raw/run", tmp_path / "back")
    assert [str(f.relative_to(tmp_path / "back")) for f in (tmp_path / "back").rglob("*") if f.is_file()] == [
        "visit-01/settle.json"
    ]


def test_missing_artifact_is_a_problem(repository: ArtifactStore, tmp_path: Path) -> None:
    assert not repository.get("raw/none", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", ""])
def test_artifact_key_stays_below_the_root(key: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.touch()
    with pytest.raises(Problem, match="must be a relative path"):
        ArtifactStore(str(tmp_path / "kept")).put(source, key)


def test_failed_artifact_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ArtifactStore(str(tmp_path / "kept"))
    source = tmp_path / "source"
    source.write_text("old")
    kept.put(source, "x")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(Problem, match="the disk is full; free some space"):
        kept.put(source, "x")
    assert [f.name for f in (tmp_path / "kept").iterdir()] == ["x"]
    assert (tmp_path / "kept/x").read_text() == "old"


def test_invalid_artifact_location_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unsupported, match=r"can't write .*: a file is in the way of a folder; choose another RESULTS"):
        ArtifactStore(str(tmp_path / "file" / "below"))
    with pytest.raises(BadInput, match="can't be 'nosuch://x': nosuch:// is not known"):
        ArtifactStore("nosuch://x")


@pytest.mark.s3
def test_s3_artifact_equals_the_file(tmp_path: Path) -> None:
    """Whatever it is called: what is compressed already is not compressed again."""
    for repository in _bucket():
        with tempfile.NamedTemporaryFile(suffix=".json.gz") as file:
            file.write(b"\x1f\x8b anything")
            file.flush()
            repository.put(Path(file.name), "raw/x.json.gz")
        with repository._files.filesystem.open_input_file("kept/below/raw/x.json.gz") as stream:
            assert stream.read() == b"\x1f\x8b anything"
        assert repository.get("raw/x.json.gz", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"\x1f\x8b anything"
