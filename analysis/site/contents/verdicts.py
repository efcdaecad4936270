"""The verdicts of all runs of a store, packed: those of a thousand runs are some hundred MiB of text."""

import zlib
from collections.abc import Iterator
from contextlib import closing

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from analysis.errors import Unsupported
from analysis.sql.table_views import verdicts_in
from analysis.store.files.parquet import readable_runs
from analysis.store.index.run_entries import WRITTEN_AT
from analysis.store.integrity.unnamed import list_run_files
from analysis.store.schema import VERDICT, is_known
from analysis.store.store import Store


class Verdicts:
    """The verdict of each run, of the row that was written last."""

    def __init__(self, packed: dict[str, bytes]) -> None:
        self._packed = packed

    def get(self, run_id: str) -> str | None:
        """The verdict of a run as JSON; None: it has none."""
        found = self._packed.get(run_id)
        return None if found is None else zlib.decompress(found).decode()


def read_verdicts(store: Store) -> Verdicts:
    """Read the verdicts, a file at a time; files that are damaged are left out, as their runs are.

    Raises:
        Unsupported: the store can't be read.
    """
    try:
        return _read(store)
    except FileNotFoundError as error:
        raise Unsupported(f"can't read {store.url}: {error} is gone; try again when the writer is done") from error


@retry(retry=retry_if_exception_type(FileNotFoundError), stop=stop_after_attempt(5), reraise=True)
def _read(store: Store) -> Verdicts:
    last: dict[str, tuple[object, str]] = {}
    packed: dict[str, bytes] = {}
    with closing(duckdb.connect()) as con:
        for name, rows in _tables(store):
            at = dict(zip(rows["run_id"].to_pylist(), rows[WRITTEN_AT].to_pylist(), strict=True))
            for version in filter(is_known, pc.unique(rows["schema_version"].drop_null()).to_pylist()):
                of_version = rows.filter(pc.equal(rows["schema_version"], version))
                for run_id, verdict in verdicts_in(con, of_version, version):
                    written = at[run_id], name
                    if at[run_id] is None or written < last.get(run_id, written):
                        continue
                    last[run_id] = written
                    packed.pop(run_id, None)
                    if verdict is not None:
                        packed[run_id] = zlib.compress(verdict.encode(), 1)
    pa.default_memory_pool().release_unused()  # what was unpacked is not needed again
    return Verdicts(packed)


def _tables(store: Store) -> Iterator[tuple[str, pa.Table]]:
    """The files of `runs/`, one at a time: one of packed runs has some twenty MiB of verdicts."""
    for listed in list_run_files(store.files):
        found, _ = readable_runs(store.files, [listed])
        yield from ((name, table) for name, table in found if VERDICT in table.column_names)
