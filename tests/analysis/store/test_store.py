"""The store in a folder: what goes in comes out, writing twice is writing once, and trouble is a sentence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from analysis.errors import BadInput, Problem
from analysis.sql import database
from analysis.store import compaction
from analysis.store.files.parquet import content_digest, to_parquet
from analysis.store.index.names import file_name
from analysis.store.store import Store
from tests.analysis.store.stored import rows, shown, write_older


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


def test_latest_row_counts_even_if_the_clock_was_set_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_column_added_later_reads_as_null(store: Store) -> None:
    write_older(store, "run-old")
    trials = database.query(database.connect(store), "select rtt_s, nodes from trials").to_pylist()
    assert [trial["rtt_s"] for trial in trials] == [None] * 3
    assert trials[0]["nodes"][0]["busy_ratio"] == 0.5
    assert trials[0]["nodes"][0]["steal_ratio"] is None


def test_report_is_stored_under_its_run_and_as_latest(store: Store) -> None:
    assert store.write_report("run-a", {"report.html": "<p>a", "summary.md": "a"}, latest=True) == store.location(
        "reports/run-a/report.html"
    )
    store.write_report("run-b", {"report.html": "<p>ü", "summary.md": "ü"}, latest=True)
    store.write_report("run-a", {"report.html": "<p>a", "summary.md": "a"}, latest=False)
    root = Path(store.files.root)
    assert (root / "reports/run-a/report.html").read_text() == "<p>a"
    assert (root / "report.html").read_text() == (root / "reports/run-b/report.html").read_text() == "<p>ü"
    assert (root / "reports/run-a/summary.md").read_text() == "a"
    assert (root / "summary.md").read_text() == (root / "reports/run-b/summary.md").read_text() == "ü"


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
