"""Damage to the files of a store, and a store to do it to."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.store import compaction
from analysis.store.files.parquet import to_parquet
from analysis.store.store import Store
from tests.analysis.store.stored import rows

RUNS: Final = ("run-a", "run-b", "run-c")


def filled(folder: Path, *, packed: bool = False) -> Store:
    """A store of three runs, in files of their own or in packed ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _contents(packed=packed).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return Store(str(folder))


@functools.cache
def _contents(*, packed: bool) -> dict[str, bytes]:
    """Of each file of such a store: each write waits for the disk, so it is written once."""
    with tempfile.TemporaryDirectory() as name:
        store = Store(name)
        for run_id in RUNS:
            store.write(run_id, rows(run_id, "x"))
        if packed:
            with store.files.lock():
                assert compaction.compact(store.files, pack_at=1, keep_loose=0) == len(RUNS)
        files = [path for path in Path(name).rglob("*") if path.is_file()]
        return {str(path.relative_to(name)): path.read_bytes() for path in files}


def file_of(store: Store, table: str, run_id: str) -> Path:
    """The one file of a run in a table."""
    (path,) = Path(store.files.path(table)).glob(f"{run_id}.*")
    return path


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def one_byte_changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def middle_lost(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:60] + content[90:])


def another_format(path: Path) -> None:
    path.write_text("run_id,visit\nrun-b,1\n")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def gone(path: Path) -> None:
    path.unlink()


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def a_figure_changed(path: Path) -> None:
    """A sound Parquet file, but another one."""
    table = pq.ParquetFile(path).read()
    place = table.column_names.index("run_id")
    path.write_bytes(to_parquet([table.set_column(place, "run_id", pa.array(["run-b"] * table.num_rows))]))


def other_types(path: Path) -> None:
    table = pq.ParquetFile(path).read()
    place = 0 if table.column_names[1] == "visit" else 1
    wrong = pa.array([{"x": 1.5}] * table.num_rows)
    path.write_bytes(to_parquet([table.set_column(place, table.column_names[place], wrong)]))


def no_keys(path: Path) -> None:
    path.write_bytes(to_parquet([pa.table({"x": [1]})]))


def a_length_that_cant_be(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8] + b"\xff\xff\xff\x7fPAR1")


DAMAGES: Final[tuple[Callable[[Path], None], ...]] = (
    cut_short,
    emptied,
    one_byte_changed,
    middle_lost,
    another_format,
    a_folder,
    gone,
    link_to_itself,
    a_figure_changed,
    other_types,
    no_keys,
    a_length_that_cant_be,
)
