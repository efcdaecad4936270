"""A damaged file takes its own run away, by name, and nothing else: whatever the damage, whichever the file."""

import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.errors import BadInput, Unsupported
from analysis.sql import database
from analysis.sql.view_statements import VIEWS
from analysis.store import compaction
from analysis.store.files.parquet import content_digest, to_parquet
from analysis.store.index.left_out import SHOWN, LeftOut, sentences
from analysis.store.index.names import CHILDREN, file_name
from analysis.store.index.run_entries import FILES
from analysis.store.integrity.audit import EVERY
from analysis.store.schema import FIRST_VERSION, SCHEMA_VERSION
from analysis.store.store import Store
from tests.analysis.store.integrity.damage import (
    DAMAGES,
    RUNS,
    a_figure_changed,
    cut_short,
    file_of,
    filled,
    gone,
    link_to_itself,
)
from tests.analysis.store.stored import rows, shown, shown_in, write_older

OTHERS = {"run-a": ("x", None), "run-c": ("x", None)}


def left_out(store: Store) -> list[LeftOut]:
    """What the table `left_out` lists, without a database, which takes five times as long."""
    return list(store.inventory(EVERY).left_out)


@pytest.mark.parametrize("table", ["runs", *CHILDREN])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_excludes_only_its_own_run(table: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = file_of(store, table, "run-b")
    damage(path)
    with database.connect(store) as con:
        (one,) = database.left_out(con)
        assert shown_in(con) == OTHERS
    assert one.run_id == "run-b"
    if table != "runs" or path.is_file():  # where the row is not there, another of its files is named
        assert one.sentence.startswith(f"Run run-b is left out: {path} ")
    assert "delete" not in one.sentence


@pytest.mark.parametrize("table", ["runs", *CHILDREN])
def test_run_with_a_damaged_file_is_in_no_view(table: str, tmp_path: Path) -> None:
    store = filled(tmp_path)
    cut_short(file_of(store, table, "run-b"))
    with database.connect(store) as con:
        every = " union all ".join(f"select run_id from {name}" for name in (*VIEWS, "runs", *CHILDREN))
        assert set(database.query(con, every)["run_id"].to_pylist()) == {"run-a", "run-c"}


@pytest.mark.parametrize("damage", [cut_short, gone, a_figure_changed, link_to_itself])
def test_damaged_run_can_be_rewritten(damage: Callable[[Path], None], tmp_path: Path) -> None:
    for table in ("runs", *CHILDREN):
        store = filled(tmp_path / table)
        path = file_of(store, table, "run-b")
        damage(path)
        store.write("run-b", rows("run-b", "x"))
        assert shown(store) == OTHERS | {"run-b": ("x", None)}
        assert left_out(store) == []


@pytest.mark.parametrize("table", CHILDREN)
def test_damaged_packed_file_excludes_only_its_runs(table: str, tmp_path: Path) -> None:
    store = filled(tmp_path, packed=True)
    store.write("run-d", rows("run-d", "x"))
    (path,) = Path(store.files.path(table)).glob("packed-*")
    cut_short(path)
    assert {one.run_id for one in left_out(store)} == set(RUNS)
    assert shown(store) == {"run-d": ("x", None)}


@pytest.mark.parametrize("damage", [cut_short, gone])
def test_damaged_packed_runs_file_names_its_runs(damage: Callable[[Path], None], tmp_path: Path) -> None:
    store = filled(tmp_path, packed=True)
    store.write("run-d", rows("run-d", "x"))
    (path,) = Path(store.files.path("runs")).glob("packed-*")
    damage(path)
    assert {one.run_id for one in left_out(store)} - {None} == set(RUNS)
    assert shown(store) == {"run-d": ("x", None)}


def test_run_with_lost_row_is_named_and_its_files_are_kept(tmp_path: Path) -> None:
    store = filled(tmp_path)
    gone(file_of(store, "runs", "run-b"))
    kept = {path: path.read_bytes() for table in CHILDREN for path in [file_of(store, table, "run-b")]}
    for path in kept:
        os.utime(path, (0, 0))
    (one,) = left_out(store)
    assert one.run_id == "run-b"
    assert one.reason == "is there, but no row of runs/ names it"
    with store.files.lock():
        assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 2
    assert {path: path.read_bytes() for path in kept} == kept
    assert [one.run_id for one in left_out(store)] == ["run-b"]


def test_remedy_names_raw_documents_to_collect_from(tmp_path: Path) -> None:
    store = filled(tmp_path)
    gone(file_of(store, "runs", "run-b"))
    assert left_out(store)[0].remedy == "Put the file back from a copy; all other runs are shown."
    (tmp_path / "raw" / "run-b").mkdir(parents=True)
    assert f"type `make report RUN=run-b RESULTS={tmp_path}`" in left_out(store)[0].remedy


def test_active_writer_under_lock_is_no_lost_run(tmp_path: Path) -> None:
    store = filled(tmp_path)
    gone(file_of(store, "runs", "run-b"))
    with store.files.lock():
        assert left_out(store) == []
        for table in CHILDREN:  # so long ago that no writer can be at it
            os.utime(file_of(store, table, "run-b"), (0, 0))
        assert [one.run_id for one in left_out(store)] == ["run-b"]


def test_newer_schema_version_is_excluded_and_never_replaced(tmp_path: Path) -> None:
    store = filled(tmp_path)
    write_older(store, "run-new", version=7)
    (one,) = left_out(store)
    assert one.run_id == "run-new"
    assert (
        f"written by a newer version of this program (schema version 7; this one knows versions up to {SCHEMA_VERSION})"
        in one.reason
    )
    assert one.remedy.startswith("Use that to read it")
    assert shown(store) == OTHERS | {"run-b": ("x", None)}
    with pytest.raises(Unsupported, match=r"can't write the run run-new .* a newer version of this program wrote it"):
        store.write("run-new", rows("run-new", "y"))
    with store.files.lock():
        assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 3
    assert file_of(store, "runs", "run-new").exists()


def test_older_schema_version_without_upgrade_is_excluded(tmp_path: Path) -> None:
    store = filled(tmp_path)
    write_older(store, "run-old", version=0)
    (one,) = left_out(store)
    assert one.sentence.startswith("Run run-old is left out: ")
    assert f"rows of schema version 0; this program knows versions from {FIRST_VERSION}" in one.reason
    assert shown(store) == OTHERS | {"run-b": ("x", None)}


@pytest.mark.parametrize("odd", ["../../etc/passwd", "trials/../x.0123456789abcdef.parquet", "raw/x", ""])
def test_row_naming_a_file_outside_the_store_is_excluded(odd: str, tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = file_of(store, "runs", "run-b")
    row = pq.ParquetFile(path).read()
    place = row.column_names.index(FILES)
    content = to_parquet([row.set_column(place, row.schema.field(place), pa.array([[odd]], pa.list_(pa.string())))])
    path.unlink()
    store.files.put(file_name("runs", "run-b", content_digest(content)), content)
    (one,) = left_out(store)
    assert one.run_id == "run-b"
    assert "can't be one of the run's" in one.reason
    assert shown(store) == OTHERS


def test_damaged_row_does_not_fall_back_to_an_earlier_row(tmp_path: Path) -> None:
    store = filled(tmp_path, packed=True)
    store.write("run-b", rows("run-b", "y", trials=5))
    cut_short(file_of(store, "runs", "run-b"))
    assert [one.run_id for one in left_out(store)] == ["run-b"]
    assert shown(store) == OTHERS


@pytest.mark.parametrize("table", ["runs", *CHILDREN])
def test_named_pipe_instead_of_a_file_does_not_block(table: str, tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = file_of(store, table, "run-b")
    path.unlink()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: found.extend(left_out(store)), daemon=True)
    found: list[LeftOut] = []
    reader.start()
    reader.join(30)
    assert [one.run_id for one in found] == ["run-b"]


def test_runs_files_with_old_digest_are_read_and_checked(tmp_path: Path) -> None:
    """Their names hold the digest of the row without its bookkeeping, and of the names of its files."""
    store = filled(tmp_path)
    for run_id in RUNS:
        path = file_of(store, "runs", run_id)
        row = pq.ParquetFile(path).read().replace_schema_metadata()
        plain = row.drop_columns([FILES, "store_written_at"])
        name = file_name("runs", run_id, content_digest(to_parquet([plain]), *row[FILES].to_pylist()[0]))
        path.unlink()
        store.files.put(name, to_parquet([row]))
    assert shown(store) == OTHERS | {"run-b": ("x", None)}
    path = file_of(store, "runs", "run-b")
    row = pq.ParquetFile(path).read()
    place = row.column_names.index("environment")
    path.write_bytes(to_parquet([row.set_column(place, row.schema.field(place), pa.array(["prod"]))]))
    assert [one.run_id for one in left_out(store)] == ["run-b"]


def test_samples_digest_is_checked_when_samples_are_queried(tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = file_of(store, "samples", "run-b")
    table = pq.ParquetFile(path).read()
    place = table.column_names.index("bps")
    bits = pa.array([-5.0] * table.num_rows)
    path.write_bytes(to_parquet([table.set_column(place, table.schema.field(place), bits)]))
    assert database.run_sql(store, "select min(bps) as least from samples")["least"].to_pylist() == [1e9]
    with database.connect(store, asking="select * from trials") as con:
        assert database.left_out(con) == []
    with database.connect(store, run_id="run-b", asking="select * from trials") as con:
        assert [one.run_id for one in database.left_out(con)] == ["run-b"]


@pytest.fixture
def nobody(public_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without root's right to read everything, but with the project's own SQL, even if it is in root's home."""
    if os.geteuid() != 0:
        yield
        return
    shutil.copytree(str(resources.files("analysis")), public_path / "analysis", ignore=shutil.ignore_patterns("*.py*"))
    monkeypatch.setattr(resources, "files", public_path.joinpath)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_folder_without_read_permission_is_reported_as_such(public_path: Path, nobody: None) -> None:  # noqa: ARG001
    with _as_root():
        store = filled(public_path / "results")
        for table in CHILDREN:
            Path(store.files.path(table)).chmod(0o000)
    with pytest.raises(Unsupported, match=r"can't read .*: permission is refused; choose another RESULTS") as caught:
        database.connect(store)
    assert "delete" not in str(caught.value)
    with _as_root():
        for table in CHILDREN:
            Path(store.files.path(table)).chmod(0o711)
        file_of(store, "trials", "run-b").chmod(0o000)
    # What can't be listed can still be read by name; one file that can't takes its run away.
    assert [one.run_id for one in left_out(store)] == ["run-b"]
    assert shown(store) == OTHERS


def _as_root() -> "_Seteuid":
    return _Seteuid()


class _Seteuid:
    def __enter__(self) -> None:
        self.user = os.geteuid()
        if os.getuid() == 0:
            os.seteuid(0)

    def __exit__(self, *_: object) -> None:
        os.seteuid(self.user)


def test_file_descriptor_limit_error_names_ulimit(tmp_path: Path) -> None:
    store = filled(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(Unsupported, match=r"ulimit -n"):
            store.inventory()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(shown(store)) == len(RUNS)


def test_excluded_run_is_not_reported_as_unknown(tmp_path: Path) -> None:
    store = filled(tmp_path)
    cut_short(file_of(store, "trials", "run-b"))
    with pytest.raises(Unsupported, match="Run run-b is left out"):
        store.keep_verdict("run-b", "{}")
    with pytest.raises(BadInput, match="there is no run 'run-x'"):
        store.keep_verdict("run-x", "{}")


def test_many_excluded_runs_are_summarised_by_count() -> None:
    many = [LeftOut(f"run-{n}", "f", "is damaged", "Do.") for n in range(SHOWN + 3)]
    assert sentences(many)[-1] == "3 more are left out; the table left_out lists them all."
    assert len(sentences(many)) == SHOWN + 1
    assert len(sentences(many[:SHOWN])) == SHOWN
