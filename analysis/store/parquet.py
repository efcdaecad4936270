"""The Parquet files of a store: how they are named, written and read."""

import hashlib
import io
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import DamagedFileError, Problem
from analysis.store.file_content import ContentError, check_schema, first_line_of_error
from analysis.store.inventory import BOOKKEEPING, FILES, PACKED, WRITTEN_AT
from analysis.store.object_storage import ObjectStorage

READERS: Final = 16
"""Files read at once: on S3 each costs a round trip."""

MOST_BYTES: Final = 2**30
"""Of a file that is read whole. Hundreds of packed runs take a hundredth of it."""

NOT_AS_NAMED: Final = "is damaged: its content is not what its name says"

NAMED_BY_CONTENT: Final = b"named_by"
"""In the metadata of a file of `runs/` whose name holds the digest of all of its content."""

LOCAL_READERS: Final = 2
"""On this machine there is nothing to wait for: more threads only wait for each other."""

_SUFFIX: Final = re.compile(r"\.[0-9a-f]{16}\.parquet$")


def file_name(table: str, stem: str, digest_: str) -> str:
    """The name of a file of the store. `owner` undoes it."""
    return f"{table}/{stem}.{digest_}.parquet"


def run_of_file(file_name: str) -> str | None:
    """The run whose file this is; None: it holds many runs, or is none of the store's."""
    if file_name.startswith(PACKED) or not _SUFFIX.search(file_name):
        return None
    return _SUFFIX.sub("", file_name)


def is_store_file(file_name: str) -> bool:
    """Whether a file is called as one of the store's."""
    return bool(_SUFFIX.search(file_name))


def content_digest(content: bytes, *names: str) -> str:
    """What a file's name holds of its content, and of the names of the files that it names."""
    seen = hashlib.sha256(content, usedforsecurity=False)
    for name in sorted(names):
        seen.update(name.encode() + b"\0")
    return seen.hexdigest()[:16]


def to_parquet(tables: Iterable[pa.Table]) -> bytes:
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


def read_table(files: ObjectStorage, name: str) -> pa.Table:
    """One Parquet file of the store, whose content is what it was when it was put.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFileError: it can't be read, or is not what it was.
        Unsupported: the store can't be read.
    """
    content = files.read(name, MOST_BYTES)
    try:
        _check_digest(name, content)
        return _decoded(content)
    except ContentError as error:
        raise DamagedFileError(files.address(name), str(error)) from error


def _check_digest(name: str, content: bytes) -> None:
    if not content:
        raise ContentError("is empty")
    if content_digest(content) != digest_in(name) and not _is_named_otherwise(name, content):
        raise ContentError(NOT_AS_NAMED)


def _decoded(content: bytes) -> pa.Table:
    """A Parquet file's rows.

    Raises:
        ContentError: it is damaged.
    """
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise ContentError(f"is damaged ({first_line_of_error(error)})") from error
    return table


def read_schema(files: ObjectStorage, name: str) -> pa.Schema:
    """The schema of a Parquet file of the store.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFileError: it is not what it was.
        Unsupported: the store can't be read.
    """
    try:
        return files.reading(name, lambda stream: pq.ParquetFile(stream).schema_arrow)
    except (pa.ArrowException, ValueError) as error:
        raise DamagedFileError(files.address(name), f"is damaged ({first_line_of_error(error)})") from error


def digest_in(name: str) -> str:
    """The digest that the name of a file holds."""
    return name.removesuffix(".parquet").rpartition(".")[2]


def _is_named_otherwise(name: str, content: bytes) -> bool:
    """Whether a file of `runs/` is one of before its name held the digest of all of its content.

    Such a name holds that of the row alone, without its bookkeeping, as the pyarrow of then encoded it, and of the
    names of its files. Where that pyarrow was another one this can't be computed again; such a file is believed.
    """
    if not name.startswith("runs/"):
        return False
    try:
        metadata = pq.read_metadata(pa.BufferReader(content))
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ContentError(f"is damaged ({first_line_of_error(error)})") from error
    if NAMED_BY_CONTENT in (schema.metadata or {}) or {WRITTEN_AT, FILES} - set(schema.names):
        return False
    table = _decoded(content)
    row = table.drop_columns([WRITTEN_AT, FILES])
    named_in = [child for children in table[FILES].to_pylist() for child in children or ()]
    again = to_parquet([row])
    this_program = pq.read_metadata(pa.BufferReader(again)).created_by
    return metadata.created_by != this_program or content_digest(again, *named_in) == digest_in(name)


def read_runs(files: ObjectStorage, names: Iterable[str]) -> list[tuple[str, pa.Table]]:
    """These files of `runs/`, each with its name.

    Raises:
        FileNotFoundError: one is gone.
        DamagedFileError: one can't be read, is not what it was, or is none of ours.
        Unsupported: the store can't be read.
    """
    found, damaged = readable_runs(files, names)
    if damaged:
        raise damaged[0][1]
    return found


Runs = list[tuple[str, pa.Table]]


def readable_runs(files: ObjectStorage, names: Iterable[str]) -> tuple[Runs, list[tuple[str, DamagedFileError]]]:
    """Those of these files of `runs/` that can be used, each with its name, and what is wrong with the others.

    Raises:
        FileNotFoundError: one is gone.
        Unsupported: the store can't be read.
    """
    with ThreadPoolExecutor(LOCAL_READERS if files.local else READERS) as pool:
        all_read = list(pool.map(lambda name: (name, _read_run(files, name)), names))
    return (
        [(name, table) for name, table in all_read if not isinstance(table, DamagedFileError)],
        [(name, why) for name, why in all_read if isinstance(why, DamagedFileError)],
    )


def _read_run(files: ObjectStorage, name: str) -> pa.Table | DamagedFileError:
    try:
        table = read_table(files, name)
    except DamagedFileError as error:
        return error
    try:
        _check_runs(table)
    except ContentError as error:
        return DamagedFileError(files.address(name), str(error))
    return table


def _check_runs(table: pa.Table) -> None:
    for field in (*BOOKKEEPING, pa.field("schema_version", pa.int32())):
        if field.name not in table.column_names or table[field.name].type != field.type:
            raise ContentError(f"is no run of this program: it has no column {field.name} as the store puts it")
    for version in set(table["schema_version"].to_pylist()) - {None}:
        check_schema(table.schema, "runs", version)
