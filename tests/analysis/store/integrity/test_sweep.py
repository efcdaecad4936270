"""Sweeping: what cannot be read, or has no row, is never deleted: it may be all that is left of what was measured."""

import os
from pathlib import Path

import pytest

from analysis.store import compaction
from analysis.store.index.names import CHILDREN
from tests.analysis.store.integrity.damage import a_figure_changed, cut_short, file_of, filled
from tests.analysis.store.stored import rows, shown

OTHERS = {"run-a": ("x", None), "run-c": ("x", None)}


def test_sweep_removes_only_replaced_files(tmp_path: Path) -> None:
    store = filled(tmp_path)
    root = Path(store.files.root)
    before = file_of(store, "trials", "run-b")
    replaced = before.with_name(f"run-b.{'0' * 16}.parquet")
    replaced.write_bytes(before.read_bytes())
    left = [root / "trials" / f"gone.{'0' * 16}.parquet", root / "trials" / f"packed-2-runs-v1.{'0' * 16}.parquet"]
    half = root / "trials" / ".half.tmp"
    for path in (*left, half):
        path.write_bytes(b"x")
    for path in (*left, half, replaced):
        os.utime(path, (0, 0))
    young = root / "trials" / f"run-a.{'1' * 16}.parquet"
    young.write_bytes(b"x")
    with store.files.lock():
        compaction.compact(store.files, pack_at=1, keep_loose=0)
    assert not replaced.exists()
    assert not half.exists()
    assert young.exists()
    assert all(path.exists() for path in left)


def test_sweep_keeps_files_of_damaged_runs(tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = file_of(store, "trials", "run-b")
    copy = path.with_name(f"run-b.{'0' * 16}.parquet")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, (0, 0))
    cut_short(path)
    with store.files.lock():
        assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 2
    assert copy.exists()
    assert path.exists()


@pytest.mark.parametrize("table", ["runs", *CHILDREN])
def test_packing_keeps_unreadable_files(table: str, tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = file_of(store, table, "run-b")
    a_figure_changed(path)
    before = {p: p.read_bytes() for t in ("runs", *CHILDREN) for p in [file_of(store, t, "run-b")]}
    with store.files.lock():
        assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 2
    assert {p: p.read_bytes() for p in before} == before
    assert shown(store) == OTHERS


def test_repacking_keeps_files_of_runs_with_damaged_rows(tmp_path: Path) -> None:
    """A row of one packed run, put for its verdict, goes on naming files that hold other runs, too."""
    store = filled(tmp_path, packed=True)
    store.keep_verdict("run-b", "{}")
    (row,) = Path(store.files.path("runs")).glob("packed-*")
    whole = row.read_bytes()
    cut_short(row)
    store.write("run-d", rows("run-d", "x"))
    assert shown(store) == {"run-b": ("x", "{}"), "run-d": ("x", None)}
    with store.files.lock():
        assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 2
    assert shown(store) == {"run-b": ("x", "{}"), "run-d": ("x", None)}
    row.write_bytes(whole)
    assert shown(store) == OTHERS | {"run-b": ("x", "{}"), "run-d": ("x", None)}
