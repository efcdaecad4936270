"""The Parquet files of a store: how they are named, written and read.

What reads them raises Unsupported where the store can't be read.
"""

import hashlib
import io
import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import DamagedFileError
from analysis.store.files.file_content import (
    MOST_BYTES_PER_BYTE,
    ContentError,
    check_amount,
    check_schema,
    first_line_of_error,
    footer_of,
)
from analysis.store.files.pages import check_pages
from analysis.store.index.names import digest_in
from analysis.store.index.run_entries import BOOKKEEPING, FILES, WRITTEN_AT
from analysis.store.schema import arrow_schema
from analysis.store.storage.bucket import READERS
from analysis.store.storage.object_storage import ObjectStorage

MOST_BYTES: Final = 2**30
MOST_BYTES_OF_RUNS: Final = 2**27
"""Of a file that is read whole. Hundreds of packed runs take a hundredth of it."""

_FREE_BYTES: Final = 32 * 2**20
_BATCH_ROWS: Final = 2**16
_BATCH_BYTES: Final = 2**28
"""Of a batch of rows, if each of them had all that is in the file."""

NOT_AS_NAMED: Final = "is damaged: its content does not match the digest in its name"

NAMED_BY_CONTENT: Final = b"named_by"
"""In the metadata of a file of `runs/` whose name has the digest of all of its content."""


def readers(files: ObjectStorage) -> int:
    """How many files to read at once: on S3 each costs a round trip, on one machine threads wait for each other."""
    return 2 if files.local else READERS


def content_digest(content: bytes, *names: str) -> str:
    """The digest in a file's name: of its content, and of the names of the files that it names."""
    digest = hashlib.sha256(content, usedforsecurity=False)
    for name in sorted(names):
        digest.update(name.encode() + b"\0")
    return digest.hexdigest()[:16]


def to_parquet(tables: Iterable[pa.Table]) -> bytes:
    """Tables of one schema, one or more, as one Parquet file, a row group each."""
    sink, rest = io.BytesIO(), iter(tables)
    first = next(rest)
    with pq.ParquetWriter(sink, first.schema, compression="zstd") as writer:
        for table in itertools.chain([first], rest):
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    return sink.getvalue()


def read_table(files: ObjectStorage, name: str, without: str = "") -> pa.Table:
    """One Parquet file of the store, without a column, whose content is compared with the digest in its name.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFileError: it can't be read, or is not what was written.
    """
    try:
        content = files.read(name, MOST_BYTES_OF_RUNS if name.startswith("runs/") else MOST_BYTES)
        return _checked(name, content, without)
    except ContentError as error:
        raise DamagedFileError(files.address(name), str(error)) from error


def _checked(name: str, content: bytes, without: str) -> pa.Table:
    if not content:
        raise ContentError("is empty")
    if content_digest(content) != digest_in(name) and not _has_old_digest(name, content):
        raise ContentError(NOT_AS_NAMED)
    return _decoded(content, without)


def _decoded(content: bytes, without: str = "") -> pa.Table:
    batches = list(_batches(content, without))
    return pa.Table.from_batches(batches) if batches else footer_of(content).schema.empty_table()


def _batches(content: bytes, without: str = "") -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in batches: a file may repeat one large value in few bytes.

    Raises:
        ContentError: it is damaged, or has far more in it than its size explains.
    """
    most = max(_FREE_BYTES, MOST_BYTES_PER_BYTE * len(content))
    size = 0
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            row_bytes = check_amount(file.metadata, len(content))
            check_pages(content, file.metadata)
            rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))
            names = file.schema_arrow.names
            wanted = [name for name in names if name != without] if without in names else None
            for batch in file.iter_batches(batch_size=rows, columns=wanted):
                batch.validate(full=True)
                if (size := size + batch.nbytes) > most:
                    break
                yield batch
    except ContentError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise ContentError(f"is damaged ({first_line_of_error(error)})") from error
    if size > most:
        raise ContentError(f"has more than {most:,} bytes when decoded, from {len(content):,}")


def undecodable(files: ObjectStorage, names: Iterable[str]) -> dict[str, str]:
    """Those of these files that can't be decoded to their end, by name, with what is wrong as a clause."""
    found = {}
    for name in names:
        try:
            for _ in _batches(files.read(name, MOST_BYTES)):
                pass
        except FileNotFoundError:
            continue  # replaced meanwhile
        except DamagedFileError as error:
            found[name] = error.why
        except ContentError as error:
            found[name] = str(error)
    return found


def _has_old_digest(name: str, content: bytes) -> bool:
    """Whether a file of `runs/` is older than the digest of all content in its name.

    Such a name has that of the row alone, without its bookkeeping, as the pyarrow of then encoded it, and of the names
    of its files. Another pyarrow's can't be computed again; such a file is believed.
    """
    if not name.startswith("runs/"):
        return False
    schema = footer_of(content).schema
    if NAMED_BY_CONTENT in (schema.metadata or {}) or {WRITTEN_AT, FILES} - set(schema.names):
        return False
    table = _decoded(content)
    row = table.drop_columns([WRITTEN_AT, FILES])
    named_in = [child for children in table[FILES].to_pylist() for child in children or ()]
    again = to_parquet([row])
    writers = {pq.read_metadata(pa.BufferReader(one)).created_by for one in (content, again)}
    return len(writers) > 1 or content_digest(again, *named_in) == digest_in(name)


def read_runs(files: ObjectStorage, names: Iterable[str]) -> list[tuple[str, pa.Table]]:
    """These files of `runs/`, each with its name.

    Raises:
        FileNotFoundError: one is gone.
        DamagedFileError: one can't be read, or is not what was written.
    """
    found, damaged = readable_runs(files, names)
    if damaged:
        raise damaged[0][1]
    return found


Runs = list[tuple[str, pa.Table]]


def readable_runs(
    files: ObjectStorage, names: Iterable[str], without: str = ""
) -> tuple[Runs, list[tuple[str, DamagedFileError]]]:
    """Those of these files of `runs/` that can be used, each with its name, and what is wrong with the others.

    `without`: a column that is not kept.

    Raises:
        FileNotFoundError: one is gone.
    """
    with ThreadPoolExecutor(readers(files)) as pool:
        found = list(pool.map(lambda name: (name, _read_run(files, name, without)), names))
    return (
        [(name, table) for name, table in found if not isinstance(table, DamagedFileError)],
        [(name, error) for name, error in found if isinstance(error, DamagedFileError)],
    )


def _read_run(files: ObjectStorage, name: str, without: str) -> pa.Table | DamagedFileError:
    try:
        table = read_table(files, name, without)
        _check_runs(table)
    except DamagedFileError as error:
        return error
    except ContentError as error:
        return DamagedFileError(files.address(name), str(error))
    return table


_RUNS: Final = arrow_schema("runs")


def _check_runs(table: pa.Table) -> None:
    for field in (*BOOKKEEPING, pa.field("schema_version", pa.int32())):
        if field.name not in table.column_names or table[field.name].type != field.type:
            raise ContentError(f"is no run of this program: it has no column {field.name} of type {field.type}")
    for version in set(table["schema_version"].to_pylist()) - {None}:
        check_schema(table.schema, "runs", version)
    wanted = {field.name: field.type for field in _RUNS}
    other = [f for f in table.schema if f.name in wanted and f.type != wanted[f.name] and not pa.types.is_null(f.type)]
    if other:
        raise ContentError(f"is no run of this program: its column {other[0].name} has the type {other[0].type}")
