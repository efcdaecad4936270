"""The Parquet files of a store: how they are named, written and read, and taking stock of what is there."""

import hashlib
import io
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import Problem, Unfit
from analysis.files import Files
from analysis.inventory import FILES, WRITTEN_AT, Inventory, take

PACKED: Final = "packed-"
"""How the names of files begin that hold many runs."""

READERS: Final = 16
"""Files read at once: on S3 each costs a round trip."""

_SUFFIX: Final = re.compile(r"\.[0-9a-f]{16}\.parquet$")
_LISTINGS: Final = 5


def named(table: str, stem: str, digest_: str) -> str:
    """The name of a file of the store. `owner` undoes it."""
    return f"{table}/{stem}.{digest_}.parquet"


def owner(file_name: str) -> str | None:
    """The run whose file this is; None: it holds many runs, or is none of the store's."""
    if file_name.startswith(PACKED) or not _SUFFIX.search(file_name):
        return None
    return _SUFFIX.sub("", file_name)


def digest(content: bytes, *names: str) -> str:
    """What a file's name holds of its content, and of the names of the files that it names."""
    seen = hashlib.sha256(content)
    for name in sorted(names):
        seen.update(name.encode() + b"\0")
    return seen.hexdigest()[:16]


def parquet(tables: Iterable[pa.Table]) -> bytes:
    """Tables of one schema as one Parquet file, a row group each."""
    sink = io.BytesIO()
    writer = None
    for table in tables:
        writer = writer or pq.ParquetWriter(sink, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=max(1, table.num_rows))
    if writer is None:
        raise Problem("a Parquet file needs at least one table")
    writer.close()
    return sink.getvalue()


def read_table(files: Files, name: str) -> pa.Table:
    """One Parquet file of the store.

    Raises:
        FileNotFoundError: it is not there.
        Unfit: it can't be read, or is damaged.
    """
    content = files.read(name)
    try:
        return pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise Unfit(
            f"{files.address(name)} is damaged ({str(error).splitlines()[0]}); put it back from a copy, or delete it "
            "to go on without its runs"
        ) from error


def read_runs(files: Files, names: Iterable[str]) -> list[tuple[str, pa.Table]]:
    """These files of `runs/`, each with its name.

    Raises:
        FileNotFoundError: one is gone.
        Unfit: one can't be read, or is none of ours.
    """
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda name: (name, read_table(files, name)), names))
    for name, table in found:
        if missing := {"run_id", "schema_version", WRITTEN_AT, FILES} - set(table.column_names):
            raise Unfit(f"{files.address(name)} is no run of this program: it has no column {min(missing)}")
    return found


def take_stock(files: Files) -> Inventory:
    """What the store holds now.

    Raises:
        Unfit: it can't be read, a file in it is damaged, or it was written by a newer version.
    """
    files.check_there()
    for _ in range(_LISTINGS):
        try:
            found = read_runs(files, [f"runs/{f.name}" for f in files.list("runs") if _SUFFIX.search(f.name)])
        except FileNotFoundError:
            continue  # a writer replaced a row between the listing and the reading
        return take(found, files.url)
    raise Unfit(f"can't read {files.url}: it is being rewritten all the time; try again when the writer is done")
