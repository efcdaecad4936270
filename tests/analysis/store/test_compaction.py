"""Packing: many runs in one file a table show the same, whoever reads and writes meanwhile."""

import threading
from pathlib import Path

import pytest

from analysis.errors import Unsupported
from analysis.sql import database
from analysis.store import compaction
from analysis.store.storage import object_storage
from analysis.store.store import Store
from tests.analysis.store.stored import rows, shown, write_older
from tests.security.files.hostile_store import plant, repeated


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "results"))


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


def test_packed_run_can_be_written_again_and_packed_again(store: Store) -> None:
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


def test_concurrent_writers_and_reader(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.store.store.compact", lambda f: compaction.compact(f, pack_at=4, keep_loose=1))
    done = threading.Event()
    trouble: list[BaseException] = []
    most = 0

    def write(writer: int) -> None:
        try:
            for number in range(6):
                Store(store.url).write(f"run-{writer}-{number}", rows(f"run-{writer}-{number}", "x"))
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            trouble.append(error)

    def read() -> None:
        nonlocal most
        while not done.is_set():
            runs = database.run_sql(Store(store.url), "select count(*) as n from runs")["n"][0].as_py()
            assert runs >= most
            most = runs

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


def test_run_is_stored_even_if_packing_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object_storage.ObjectStorage) -> int:
        raise Unsupported("no")

    monkeypatch.setattr("analysis.store.store.compact", refuse)
    store.write("run-a", rows("run-a", "x", verdict="{}"))
    assert shown(store) == {"run-a": ("x", "{}")}


def test_run_that_decodes_to_too_much_prevents_no_packing(store: Store) -> None:
    """Its footer is believable, so that only reading all of it tells."""
    for run_id in ("run-a", "run-c"):
        store.write(run_id, rows(run_id, "x"))
    plant(store, "run-b", repeated("trials", 100_000))
    assert pack(store) == 2
    packed, planted = sorted(file.name for file in store.files.list("trials"))
    assert packed.startswith("packed-2-runs-")
    assert planted.startswith("run-b.")


def test_packs_of_like_size_are_merged_without_their_samples(store: Store) -> None:
    for number in range(8):
        for place in ("a", "b"):
            store.write(f"run-{number}-{place}", rows(f"run-{number}-{place}", "x"))
        if number == 3:
            store.write("run-0-a", rows("run-0-a", "y", trials=4))  # its packed samples are stale from now on
        if number % 2:
            with store.files.lock():
                compaction.compact(store.files, pack_at=1, keep_loose=0, merge_at=3)
    expected = {f"run-{n}-{place}": ("x", None) for n in range(8) for place in ("a", "b")} | {"run-0-a": ("y", None)}
    assert shown(store) == expected
    assert len(store.files.list("runs")) == len(store.files.list("trials")) == 2
    assert len(store.files.list("samples")) > 2


def test_runs_of_an_environment_share_files_with_no_other(store: Store) -> None:
    for number in range(4):
        written = rows(f"run-{number}", "x")
        written["runs"][0]["environment"] = "lab" if number % 2 else "cluster"
        store.write(f"run-{number}", written)
    assert pack(store) == 4
    named = [
        {e.run_id for e in store.inventory().counting if name.name in str(e.children)}
        for name in store.files.list("trials")
    ]
    assert sorted(map(sorted, named)) == [["run-0", "run-2"], ["run-1", "run-3"]]
