"""A bucket's keys are names of files on this machine only if none leads out of the folder that they are copied to."""

import io
from pathlib import Path

import pytest

from analysis.store.storage import bucket as buckets
from analysis.store.storage.bucket import Bucket
from analysis.store.storage.copying import TooLargeError
from analysis.store.storage.folder import Entry
from analysis.store.storage.urls import parse_url


@pytest.mark.parametrize("key", ["../../outside", "a/../../outside", "a//b", "./a", ".."])
def test_key_that_leads_out_of_the_copy_is_refused(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(parse_url("s3://bucket/prefix"))
    entries = [Entry("sound", is_file=True, modified_s=0.0), Entry(key, is_file=True, modified_s=0.0)]
    monkeypatch.setattr(bucket, "exists", lambda _name: True)
    monkeypatch.setattr(bucket, "entries", lambda _name, **_options: entries)
    with pytest.raises(OSError, match="can't be the name of a file or folder"):
        bucket.fetch("raw/run-a", tmp_path / "copy", most_bytes=100)
    assert not list(tmp_path.iterdir())


def test_copies_of_one_call_have_one_bound_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(parse_url("s3://bucket/prefix"))
    entries = [Entry(str(number), is_file=True, modified_s=0.0) for number in range(32)]
    monkeypatch.setattr(bucket, "exists", lambda _name: True)
    monkeypatch.setattr(bucket, "entries", lambda _name, **_options: entries)
    monkeypatch.setattr(bucket, "reading", lambda _name: io.BytesIO(bytes(90_000)))
    with pytest.raises(TooLargeError, match="it has more than"):
        bucket.fetch("raw/run-a", tmp_path, most_bytes=100_000)
    assert sum(copied.stat().st_size for copied in tmp_path.iterdir()) <= 100_000


def test_number_of_copies_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MOST_FILES", 3)
    bucket = Bucket(parse_url("s3://bucket/prefix"))
    entries = [Entry(str(number), is_file=True, modified_s=0.0) for number in range(4)]
    monkeypatch.setattr(bucket, "exists", lambda _name: True)
    monkeypatch.setattr(bucket, "entries", lambda _name, **_options: entries)
    with pytest.raises(TooLargeError, match="it has more than 3 files"):
        bucket.fetch("raw/run-a", tmp_path, most_bytes=100_000)
    assert not list(tmp_path.iterdir())
