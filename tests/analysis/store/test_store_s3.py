"""The store in an S3 bucket: moto's server answers as S3 does, and servers that don't are a sentence, soon."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from analysis.errors import Unsupported
from analysis.sql import database
from analysis.sql.view_statements import VIEWS
from analysis.store import compaction
from analysis.store.storage import urls
from analysis.store.storage.bucket import Bucket
from analysis.store.store import Store
from tests.analysis.store.stored import rows, shown, write_older

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Store:
    """A store below a prefix of a bucket of its own, the endpoint from the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    bucket = f"test-{abs(hash(request.node.name))}"
    host = server.removeprefix("http://")
    s3 = fs.S3FileSystem(scheme="http", endpoint_override=host, region="us-east-1", allow_bucket_creation=True)
    s3.create_dir(bucket)
    return Store(f"s3://{bucket}/some/prefix")


def test_s3_bucket_stores_runs_like_a_folder(store: Store) -> None:
    assert shown(store) == {}
    store.check_writable()
    store.write("run-a", rows("run-a", "x", trials=5))
    store.write("run-b", rows("run-b", "x"))
    store.write("run-a", rows("run-a", "y", trials=2))
    store.write("run-a", rows("run-a", "y", trials=2))
    assert shown(store) == {"run-a": ("y", None), "run-b": ("x", None)}
    assert {table: len(store.files.list(table)) for table in ("runs", "trials")} == {"runs": 2, "trials": 2}
    assert (
        store.write_report("run-a", {"report.html": "<p>", "summary.md": "p"}, latest=True)
        == f"s3://{store.files.root}/reports/run-a/report.html"
    )
    assert (store.files.read("report.html"), store.files.read("summary.md")) == (b"<p>", b"p")


def test_s3_address_may_name_the_endpoint(store: Store, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("run-a", rows("run-a", "x"))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    host = server.removeprefix("http://")
    assert shown(Store(f"s3://{store.files.root}?scheme=http&endpoint_override={host}")) == {"run-a": ("x", None)}


def test_views_and_queries_work_on_s3(store: Store) -> None:
    store.write("run-a", rows("run-a", "x"))
    con = database.connect(store)
    for view in VIEWS:
        database.query(con, f"select * from {view}")
    assert database.answer_question(con, "trend")["received_bps"].to_pylist() == [pytest.approx(1e9)]
    con.close()


def test_s3_packing_waits_for_writers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        store.write(f"run-{number}", rows(f"run-{number}", "x"))
    before = shown(store)
    assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 0
    monkeypatch.setattr(compaction, "REST_S", -timedelta(hours=1).total_seconds())
    assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 3
    assert len(store.files.list("samples")) == 1
    assert shown(store) == before


def test_s3_store_rewritten_during_a_query_answers_as_it_was_or_is_an_error(store: Store) -> None:
    store.write("run-a", rows("run-a", "x"))
    con = database.connect(store)
    store.write("run-a", rows("run-a", "y", trials=4))
    assert set(database.query(con, "select error from trials")["error"].to_pylist()) == {"x"}
    with pytest.raises(Unsupported, match="ask again"):  # samples are many, so they are read as they are asked for
        database.query(con, "select * from samples")
    con.close()


def test_s3_bucket_with_capitals_and_prefix_with_special_characters(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    host = server.removeprefix("http://")
    s3 = fs.S3FileSystem(scheme="http", endpoint_override=host, region="us-east-1", allow_bucket_creation=True)
    s3.create_dir("Bucket_X")
    for prefix in ("a#b", "topology=node-to-node/x", "[a]*", "run_id=ci-17"):
        named = Store(f"s3://Bucket_X/{prefix}")
        named.write("run-a", rows("run-a", "x"))
        named.keep_verdict("run-a", "{}")
        assert shown(named) == {"run-a": ("x", "{}")}
        assert named.files.root == f"Bucket_X/{prefix}"


def test_damaged_s3_object_excludes_only_its_own_run(store: Store) -> None:
    for run_id in ("run-a", "run-b"):
        store.write(run_id, rows(run_id, "x"))
    (trials,) = (file.name for file in store.files.list("trials") if file.name.startswith("run-b."))
    whole = store.files.read(f"trials/{trials}")
    for damaged in (whole[:-20], b"", whole[:200] + b"x" + whole[201:]):
        store.files.put(f"trials/{trials}", damaged)
        with database.connect(store) as con:
            assert [one.run_id for one in database.left_out(con)] == ["run-b"]
        assert shown(store) == {"run-a": ("x", None)}
    store.files.delete(f"trials/{trials}")
    with database.connect(store) as con:
        (one,) = database.left_out(con)
    assert (one.run_id, one.reason) == ("run-b", "is not there")
    assert shown(store) == {"run-a": ("x", None)}


def test_s3_column_added_later_reads_as_null(store: Store) -> None:
    store.write("run-new", rows("run-new", "x"))
    write_older(store, "run-old")
    with database.connect(store) as con:
        found = database.query(con, "select rtt_s, nodes from trials where run_id = 'run-old'").to_pylist()
        assert database.left_out(con) == []
    assert {trial["rtt_s"] for trial in found} == {None}
    assert found[0]["nodes"][0]["busy_ratio"] == 0.5
    assert found[0]["nodes"][0]["steal_ratio"] is None


def test_missing_s3_bucket(store: Store) -> None:
    other = Store("s3://no-such-bucket/x")
    with pytest.raises(Unsupported, match="no such bucket; create it, or correct RESULTS"):
        other.check_writable()
    with pytest.raises(Unsupported, match="there is no bucket 'no-such-bucket'"):
        database.connect(other)
    assert store.url != other.url


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidAccessKeyId", "the access key is unknown there; check AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "the secret key is wrong; check AWS_SECRET_ACCESS_KEY"),
        ("AccessDenied", "access is denied; check the AWS_"),
    ],
)
def test_refused_s3_credentials(code: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuse(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{refusing.server_port}")
        with pytest.raises(Unsupported, match=message):
            Store("s3://bucket/x").check_writable()
        refusing.shutdown()


def test_unreachable_s3_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(Unsupported, match="nothing answers at the endpoint; check AWS_ENDPOINT_URL"):
            Store("s3://bucket/x").check_writable()
        with pytest.raises(Unsupported, match="nothing answers at the endpoint; check AWS_ENDPOINT_URL"):
            database.connect(Store("s3://bucket/x"))


def test_silent_s3_endpoint_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "S3_SILENCE_S", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(Unsupported, match="the endpoint did not answer in time"):
            database.connect(Store("s3://bucket/x"))
        assert time.monotonic() - began < 30


def test_object_whose_content_fails_midway_is_not_there(store: Store) -> None:
    """Pyarrow stores what was written so far, which would be read as the whole."""
    address = urls.parse_url(f"{store.url}/raw")
    bucket = Bucket(address)

    def write() -> None:
        with bucket.replacing("run/document.json") as out:
            out.write(b"half of")
            raise OSError("the disk can't be read")

    with pytest.raises(OSError, match="the disk"):
        write()
    assert not bucket.exists("run/document.json")
