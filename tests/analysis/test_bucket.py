"""A bucket's keys are names of files on this machine only if none leads out of the folder that they are copied to."""

from pathlib import Path

import pytest

from analysis.store.storage.bucket import Bucket
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
