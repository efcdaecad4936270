"""The store in a folder: what goes in comes out, writing twice is writing once, and trouble is a sentence."""

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.errors import BadInput, Problem, Unsupported
from analysis.sql import database
from analysis.store import compaction, object_storage
from analysis.store.migrations import UPGRADES, migrated_relation
from analysis.store.names import file_name
from analysis.store.parquet import content_digest, to_parquet
from analysis.store.run_entries import FILES
from analysis.store.schema import FIRST_VERSION, SCHEMA_VERSION
from analysis.store.store import Store
from tests.analysis.stored import rows, shown


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "results"))


def contents(store: Store) -> dict[str, tuple[int, bytes]]:
    root = Path(store.files.root)
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }


def test_write_is_idempotent(store: Store) -> None:
    store.write("run-a", rows("run-a", "x"))
    once = contents(store)
    store.write("run-a", rows("run-a", "x"))
    assert contents(store) == once
    assert len([name for name in once if name.endswith(".parquet")]) == 4


def test_rewrite_replaces_and_leaves_no_files(store: Store) -> None:
    store.write("run-a", rows("run-a", "x", trials=5))
    store.write("run-b", rows("run-b", "x"))
    store.write("run-a", rows("run-a", "y", trials=2))
    assert shown(store) == {"run-a": ("y", None), "run-b": ("x", None)}
    assert len([name for name in contents(store) if name.endswith(".parquet")]) == 8


def test_verdict_changes_only_the_run_row(store: Store) -> None:
    store.write("run-a", rows("run-a", "x"))
    before = contents(store)
    store.write("run-a", rows("run-a", "x", verdict="{}"))
    after = contents(store)
    assert shown(store) == {"run-a": ("x", "{}")}
    kept = {name for name in before if not name.startswith("runs/")}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_latest_row_wins_even_if_the_clock_was_set_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ANN401 - as datetime's
            return datetime.now(tz) + timedelta(days=1)

    with monkeypatch.context() as patch:
        patch.setattr("analysis.store.store.datetime", Tomorrow)
        store.write("run-a", rows("run-a", "x"))
    monkeypatch.setattr(store.files, "delete", lambda _: None)  # as if killed before the old row was deleted
    store.write("run-a", rows("run-a", "y"))
    assert len(store.files.list("runs")) == 2
    assert shown(store) == {"run-a": ("y", None)}


def test_files_of_a_run_without_a_row_are_ignored(store: Store) -> None:
    store.write("run-a", rows("run-a", "x"))
    store.write("run-b", rows("run-b", "x"))
    for file in Path(store.files.path("runs")).glob("run-b.*"):
        file.unlink()
    assert shown(store) == {"run-a": ("x", None)}


def test_parquet_metadata_has_units_and_schema_version(store: Store) -> None:
    store.write("run-a", rows("run-a", "x"))
    schema = pq.read_schema(next(Path(store.files.path("trials")).iterdir()))
    assert schema.metadata[b"schema_version"] == b"2"
    assert schema.field("received_bps").metadata[b"unit"] == b"bit/s"


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "packed-1", "ä", "x" * 200])
def test_run_id_that_is_no_file_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(BadInput, match="can't name a run"):
        store.write(name, rows(name, "x"))
    assert not Path(store.files.root).exists()


def test_unknown_table_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="there is no table 'trails'"):
        store.write("run-a", rows("run-a", "x") | {"trails": []})


# Packing


def pack(store: Store, keep_loose: int = 0) -> int:
    with store.files.lock():
        return compaction.compact(store.files, pack_at=1, keep_loose=keep_loose)


def test_packing_changes_no_query_result(store: Store) -> None:
    for number in range(6):
        store.write(f"run-{number}", rows(f"run-{number}", "x", trials=number + 1))
    before = shown(store)
    assert pack(store, keep_loose=2) == 4
    assert shown(store) == before
    assert {table: len(store.files.list(table)) for table in ("runs", "visits", "trials", "samples")} == {
        "runs": 3,
        "visits": 3,
        "trials": 3,
        "samples": 3,
    }


def test_a_packed_run_can_be_written_again_and_packed_again(store: Store) -> None:
    for number in range(3):
        store.write(f"run-{number}", rows(f"run-{number}", "x"))
    assert pack(store) == 3
    store.write("run-1", rows("run-1", "y", trials=5))
    expected = {"run-0": ("x", None), "run-1": ("y", None), "run-2": ("x", None)}
    assert shown(store) == expected
    store.write("run-3", rows("run-3", "x"))
    assert pack(store) == 2
    assert shown(store) == expected | {"run-3": ("x", None)}


def test_write_packs_automatically(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.store.store.compact", lambda f: compaction.compact(f, pack_at=5, keep_loose=1))
    for number in range(12):
        store.write(f"run-{number}", rows(f"run-{number}", "x"))
        assert len(store.files.list("runs")) < 8
    assert len(shown(store)) == 12


def test_packing_merges_files_that_differ_by_a_column(store: Store) -> None:
    store.write("run-new", rows("run-new", "x"))
    write_older(store, "run-old")
    before = database.query(database.connect(store), "select * from trials order by all").to_pylist()
    assert pack(store) == 2
    assert database.query(database.connect(store), "select * from trials order by all").to_pylist() == before


def write_older(store: Store, run_id: str, version: int = SCHEMA_VERSION) -> None:
    """A run of a program whose trials had no rtt_s, and whose nodes' usage had no steal_ratio."""
    store.write(run_id, rows(run_id, "x"))
    (trials,) = (f"trials/{file.name}" for file in store.files.list("trials") if file.name.startswith(f"{run_id}."))
    table = pq.read_table(pa.BufferReader(store.files.read(trials))).drop_columns(["rtt_s", "nodes"])
    usage = pa.array([[{"node": "a", "busy_ratio": 0.5}]] * table.num_rows)
    content = to_parquet([table.append_column("nodes", usage)])
    store.files.delete(trials)
    older = file_name("trials", run_id, content_digest(content))
    store.files.put(older, content)
    (name,) = (f"runs/{file.name}" for file in store.files.list("runs") if file.name.startswith(f"{run_id}."))
    row = pq.read_table(pa.BufferReader(store.files.read(name)))
    children = [child for child in row[FILES].to_pylist()[0] if not child.startswith("trials/")]
    for column, value in ((FILES, [*children, older]), ("schema_version", version)):
        place = row.column_names.index(column)
        row = row.set_column(place, row.schema.field(place), pa.array([value], row.schema.field(place).type))
    content = to_parquet([row])
    store.files.delete(name)
    store.files.put(file_name("runs", run_id, content_digest(content)), content)


def test_column_added_later_reads_as_null(store: Store) -> None:
    write_older(store, "run-old")
    trials = database.query(database.connect(store), "select rtt_s, nodes from trials").to_pylist()
    assert [trial["rtt_s"] for trial in trials] == [None] * 3
    assert trials[0]["nodes"][0]["busy_ratio"] == 0.5
    assert trials[0]["nodes"][0]["steal_ratio"] is None


def test_concurrent_writers_and_reader(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.store.store.compact", lambda f: compaction.compact(f, pack_at=4, keep_loose=1))
    done = threading.Event()
    trouble: list[BaseException] = []
    seen = 0

    def write(writer: int) -> None:
        try:
            for number in range(6):
                Store(store.url).write(f"run-{writer}-{number}", rows(f"run-{writer}-{number}", "x"))
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            trouble.append(error)

    def read() -> None:
        nonlocal seen
        while not done.is_set():
            runs = database.run_sql(Store(store.url), "select count(*) as n from runs")["n"][0].as_py()
            assert runs >= seen
            seen = runs

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not trouble
    assert len(shown(store)) == 18


# Versions


def test_rows_are_upgraded_step_by_step() -> None:
    steps = {
        0: {"trials": "select *, a / 2 as b from {rows}"},
        1: {"trials": "select * replace (b + 1 as b) from {rows}"},
    }
    rows = {
        version: migrated_relation(
            "(select 8 as a, 0 as b)" if version else "(select 8 as a)", "trials", version, steps, 2
        )
        for version in (0, 1, 2)
    }
    with contextlib.closing(duckdb.connect()) as con:
        found = {version: con.sql(f"select b from {source}").fetchall() for version, source in rows.items()}
    assert found == {0: [(5.0,)], 1: [(1,)], 2: [(0,)]}
    assert migrated_relation("rows", "runs", 0, steps, 2) == "rows"


def test_every_older_schema_version_has_an_upgrade() -> None:
    assert set(UPGRADES) == set(range(FIRST_VERSION, SCHEMA_VERSION))


# Trouble


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "RESULTS is empty"),
        ("ftp://host/x", "ftp:// is not known"),
        ("file://host/x", "takes a path on this machine"),
        ("file://", "the path is missing"),
        ("s3://", "the bucket is missing"),
        ("s3://bucket/x?acess_key=1", "'acess_key' in its query"),
    ],
)
def test_invalid_store_address(url: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
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


def test_check_writable_leaves_nothing(store: Store) -> None:
    store.check_writable()
    assert not list(Path(store.files.root).iterdir())


FILL = """
import sys
from analysis.errors import Unsupported
from analysis.store.schema import SCHEMA_VERSION
from analysis.store.store import Store
from tests.analysis.stored import rows, shown
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


def test_report_is_stored_under_its_run_and_as_latest(store: Store) -> None:
    assert store.write_report("run-a", "<p>a", latest=True) == store.location("reports/run-a/report.html")
    store.write_report("run-b", "<p>ü", latest=True)
    store.write_report("run-a", "<p>a", latest=False)
    root = Path(store.files.root)
    assert (root / "reports/run-a/report.html").read_text() == "<p>a"
    assert (root / "report.html").read_text() == (root / "reports/run-b/report.html").read_text() == "<p>ü"


def test_run_is_stored_even_if_packing_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object_storage.ObjectStorage) -> int:
        raise Unsupported("no")

    monkeypatch.setattr("analysis.store.store.compact", refuse)
    store.write("run-a", rows("run-a", "x", verdict="{}"))
    assert shown(store) == {"run-a": ("x", "{}")}


def test_timestamps_have_a_time_zone(store: Store) -> None:
    store.write("run-a", rows("run-a", "x"))
    answer = database.run_sql(store, "select started_at from runs")
    assert answer["started_at"][0].as_py() == datetime(2026, 3, 1, tzinfo=UTC)


def of(uid: str | None, writing: str = "old") -> dict[str, list[dict[str, Any]]]:
    found = rows("run-a", writing)
    found["runs"][0]["workflow_uid"] = uid
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_run_of_another_workflow_is_never_replaced(store: Store, packed: bool) -> None:  # noqa: FBT001
    store.write("run-a", of("uid-1"))
    if packed:
        store.write("run-b", rows("run-b", "old"))
        with store.files.lock():
            assert compaction.compact(store.files, pack_at=2, keep_loose=0) == 2
    for uid in ("uid-2", None):
        with pytest.raises(Problem, match="has a run run-a that another workflow measured"):
            store.write("run-a", of(uid, "new"))
    assert shown(store)["run-a"] == ("old", None)
    store.write("run-a", of("uid-1", "new"))
    assert shown(store)["run-a"] == ("new", None), "its own rows may be collected again"


def test_run_without_workflow_uid_is_read_and_rewritten(store: Store, tmp_path: Path) -> None:
    store.write("run-a", rows("run-a", "old"))
    (file,) = (tmp_path / "results" / "runs").iterdir()
    content = to_parquet([pq.read_table(file).drop_columns(["workflow_uid"])])
    file.unlink()
    (tmp_path / "results" / file_name("runs", "run-a", content_digest(content))).write_bytes(content)
    assert shown(store) == {"run-a": ("old", None)}
    with database.connect(store) as con:
        assert database.query(con, "select workflow_uid from runs")["workflow_uid"].to_pylist() == [None]
    store.write("run-a", of("uid-1", "new"))
    assert shown(store) == {"run-a": ("new", None)}
