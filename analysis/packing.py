"""Packing: the runs of a store, once they are many, as one file a table instead of one a run and table.

A query over a thousand nights then opens some dozen files. It takes the same care as a write: the packed rows of
`runs/` are put last, and only then do the files go that they replace, so a kill at any moment loses nothing.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.files import Files
from analysis.inventory import CHILDREN, FILES, Entry, Inventory
from analysis.tables import PACKED, digest, named, owner, parquet, read_runs, read_table, take_stock

PACK_AT: Final = 64
"""Runs with files of their own that a store may have before most of them are packed."""

KEEP_LOOSE: Final = 8
"""The runs written last stay as they are: they may well be written again, with their verdict."""

REST_S: Final = 3600
"""In a bucket, which has no lock, only runs are packed that nobody has written for so long. Files that no row names
are swept away at that age: a younger one may be of a run whose row is about to be put."""

ROW_GROUP: Final = 65536
"""Rows; small enough that a query for one run passes over the others."""

PROMOTE: Final = {"promote_options": "permissive"}
"""How tables are put together whose files differ by a column: what one lacks is null."""


def pack(files: Files, pack_at: int = PACK_AT, keep_loose: int = KEEP_LOOSE) -> int:
    """Pack the runs of a store if there are enough of them. The caller holds the store's lock.

    Args:
        files: the store's.
        pack_at: leave it if fewer runs than this have files of their own.
        keep_loose: how many of the runs written last to leave as they are.

    Returns:
        How many runs were packed.

    Raises:
        Unfit: the store can't be read or written.
    """
    if sum(owner(file.name) is not None for file in files.list("runs")) < pack_at:
        return 0
    stock = take_stock(files)
    packed = 0
    for version, entries in _chosen(stock, keep_loose, files.local).items():
        try:
            _pack(files, version, entries)
        except FileNotFoundError:
            continue  # another process has packed or rewritten one of them; the next write tries again
        packed += len(entries)
    _sweep(files)
    return packed


def _chosen(stock: Inventory, keep_loose: int, local: bool) -> dict[int, list[Entry]]:  # noqa: FBT001 - files.local
    """The entries to pack, by schema version, by run."""
    loose = sorted(
        (entry for entry in stock.counting if owner(entry.name.partition("/")[2]) is not None),
        key=lambda entry: entry.written_at,
    )
    rested = datetime.now(UTC) - timedelta(seconds=REST_S)
    chosen: dict[int, list[Entry]] = defaultdict(list)
    for entry in loose[: max(0, len(loose) - keep_loose)]:
        if local or entry.written_at < rested:
            chosen[entry.version].append(entry)
    return {version: sorted(found, key=lambda e: e.run_id) for version, found in chosen.items() if len(found) > 1}


def _pack(files: Files, version: int, entries: Sequence[Entry]) -> None:
    stem = f"{PACKED}{len(entries)}-runs-v{version}"
    packs: dict[str, bytes] = {}
    for table in CHILDREN:
        names = [child for entry in entries for child in entry.children if child.startswith(f"{table}/")]
        if names:
            content = parquet(_row_groups(files, names))
            packs[named(table, stem, digest(content))] = content
    rows = pa.concat_tables([table for _, table in read_runs(files, [entry.name for entry in entries])], **PROMOTE)
    place = rows.column_names.index(FILES)
    children = pa.array([sorted(packs)] * rows.num_rows, pa.list_(pa.string()))
    content = parquet([rows.set_column(place, FILES, children)])
    for name, pack_content in packs.items():
        files.put(name, pack_content)
    files.put(named("runs", stem, digest(content)), content)
    for entry in entries:
        files.delete(entry.name)
    still_named = {child for entry in take_stock(files).entries for child in entry.children}
    for child in {child for entry in entries for child in entry.children} - still_named:
        files.delete(child)


def _row_groups(files: Files, names: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of these files in groups of some size, all with one schema: files may differ by a column."""
    schema = pa.unify_schemas([pq.read_schema(pa.BufferReader(files.read(name))) for name in names], **PROMOTE)
    waiting: list[pa.Table] = [schema.empty_table()]
    for name in names:
        waiting.append(read_table(files, name))
        if sum(table.num_rows for table in waiting) >= ROW_GROUP:
            yield pa.concat_tables(waiting, **PROMOTE)
            waiting = [schema.empty_table()]
    if len(waiting) > 1:
        yield pa.concat_tables(waiting, **PROMOTE)


def _sweep(files: Files) -> None:
    """Take away what killed writers left: files that no row names, and files half written."""
    now = time.time()
    old = {
        f"{table}/{file.name}"
        for table in CHILDREN
        for file in files.list(table)
        if now - file.modified_s > REST_S and file.name.endswith(".parquet")
    }
    named_now = {child for entry in take_stock(files).entries for child in entry.children}
    for name in old - named_now:
        files.delete(name)
    for table in ("runs", *CHILDREN):
        files.sweep_temporary(table, REST_S)
