"""The site of a store in a bucket, in the same bucket, in another one and in a folder."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from analysis.store.store import Store
from tests.analysis.site.sites import Parsed, build, files, fill, put, verdict

pytestmark = [pytest.mark.s3, pytest.mark.usefixtures("without_charts")]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"{host}:{port}"
    moto.stop()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server}")
    s3 = fs.S3FileSystem(scheme="http", endpoint_override=server, region="us-east-1", allow_bucket_creation=True)
    for bucket in ("results", "pages"):
        s3.create_dir(bucket)
        for found in s3.get_file_info(fs.FileSelector(bucket, recursive=True)):
            if found.is_file:
                s3.delete_file(found.path)
    store = Store("s3://results/of/us")
    fill(store, 2)
    store.write_report("night-01", {"report.html": "<p>whole</p>"}, latest=True)
    return store


def get(server: str, path: str) -> tuple[str, bytes]:
    """What a browser gets of an object: its type and its content. moto takes any signature of a request."""
    signature = "AWS4-HMAC-SHA256 Credential=key/20260301/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    request = urllib.request.Request(f"http://{server}/{path}", headers={"Authorization": signature})
    with urllib.request.urlopen(request) as response:
        return response.headers["Content-Type"], response.read()


def test_browser_shows_the_site_beside_the_reports(store: Store, server: str) -> None:
    build(store, "s3://results/of/us/site")
    kind, index = get(server, "results/of/us/site/index.html")
    assert kind == "text/html; charset=utf-8"
    assert "2 runs of 1 environment" in Parsed(index).text
    assert get(server, "results/of/us/site/style.css")[0].startswith("text/css")
    assert get(server, "results/of/us/site/search.js")[0].startswith("text/javascript")
    run = Parsed(get(server, "results/of/us/site/runs/night-01.html")[1])
    assert "../../reports/night-01/report.html" in run.links
    assert get(server, "results/of/us/reports/night-01/report.html") == ("text/html; charset=utf-8", b"<p>whole</p>")


def test_bucket_is_brought_up_to_date_like_a_folder(store: Store, server: str, tmp_path: Path) -> None:
    build(store, "s3://pages/team")
    assert get(server, "pages/team/reports/night-01/report.html")[1] == b"<p>whole</p>"
    again = build(store, "s3://pages/team")
    assert (again.written, again.removed) == (0, 0)
    put(store, "night-02", 2, verdict=verdict("night-02"))
    for table in ("runs", "visits", "trials"):
        for file in store.files.list(table):
            if file.name.startswith("night-00."):
                store.files.delete(f"{table}/{file.name}")
    changed = build(store, "s3://pages/team")
    assert (changed.written, changed.removed) == (6, 1)
    build(store, tmp_path / "folder")
    there = Store("s3://pages/team").files
    for name, content in files(tmp_path / "folder").items():
        if name != "site.json" and not name.startswith("trends/"):
            assert there.read(name) == content, name
    assert not there.is_there("runs/night-00.html")
