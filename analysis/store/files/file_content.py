"""What is wrong with a Parquet file of the store, by its footer and its schema. Opens no file."""

import functools
import struct
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.store.files.arrow import KEYS
from analysis.store.schema import arrow_schema, is_known

MAGIC: Final = b"PAR1"
FOOTER_END_BYTES: Final = 8
"""The footer's length and the magic number, at the end of each file."""

MOST_FOOTER_BYTES: Final = 64 * 2**20
"""A file that claims a longer footer is damaged; those of real stores are much shorter."""


class ContentError(ValueError):
    """A file is not what was written; the message is a clause, such as `is cut short`."""


FREE_ROWS: Final = 2**16
FREE_BYTES: Final = 8 * 2**20
"""What a file of any size may have, once it is decompressed."""

MOST_BYTES_PER_BYTE: Final = 250
"""Decompressed bytes for each byte of a file: what is stored compresses a tenth as well."""

MOST_VALUES_PER_ROW: Final = 2**17
MOST_VALUES_PER_BYTE: Final = 2**12
"""Of a column of lists: a row has a value for each CPU of each node, most of them zero and so hardly stored."""


@dataclass(frozen=True, slots=True)
class Footer:
    """A file's footer. `first_run`, `last_run`: the bounds of the column run_id; None: unknown."""

    schema: pa.Schema
    rows: int
    first_run: str | None
    last_run: str | None


def footer_length(end: bytes, size: int) -> int:
    """The length of a footer in bytes, without its last eight, by these (`end`) of a file of so many bytes.

    Raises:
        ContentError: the file does not end as a Parquet file does.
    """
    if size == 0:
        raise ContentError("is empty")
    if len(end) < FOOTER_END_BYTES or size < len(MAGIC) + FOOTER_END_BYTES or end[4:] != MAGIC:
        raise ContentError("is cut short, or is no Parquet file")
    (length,) = struct.unpack("<I", end[:4])
    if length > min(size - len(MAGIC) - FOOTER_END_BYTES, MOST_FOOTER_BYTES):
        raise ContentError("is damaged: its footer would be longer than the file")
    return int(length)


def footer_of(content: bytes) -> Footer:
    """The footer of a whole file; errors as of `footer_length` and `read_footer`."""
    length = footer_length(content[-FOOTER_END_BYTES:], len(content)) + FOOTER_END_BYTES
    return read_footer(content[-length:], len(content))


def read_footer(footer: bytes, size: int) -> Footer:
    """Parse a footer, with its last eight bytes, of a file of so many bytes.

    Raises:
        ContentError: it is invalid, or is of a file of another length.
    """
    try:
        metadata = pq.read_metadata(pa.BufferReader(MAGIC + footer))
        _check_length(metadata, len(footer), size)
        check_amount(metadata, size)
        runs = [bounds for group in range(metadata.num_row_groups) if (bounds := _runs(metadata.row_group(group)))]
        return Footer(
            schema=metadata.schema.to_arrow_schema(),
            rows=metadata.num_rows,
            first_run=min((first for first, _ in runs), default=None),
            last_run=max((last for _, last in runs), default=None),
        )
    except ContentError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, TypeError, IndexError) as error:
        raise ContentError("is damaged: its footer is invalid") from error


def check_amount(metadata: pq.FileMetaData, size: int) -> int:
    """Check that a file of so many bytes does not have far more in it than its size explains.

    Returns:
        The decompressed bytes of all columns; no row has more.

    Raises:
        ContentError: it has.
    """
    most_rows = FREE_ROWS + size
    if metadata.num_rows > most_rows:
        raise ContentError(f"has {metadata.num_rows:,} rows in {size:,} bytes, more than {most_rows:,}")
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    columns = [group.column(place) for group in groups for place in range(group.num_columns)]
    values = max((column.num_values for column in columns), default=0)
    if values > min(metadata.num_rows * MOST_VALUES_PER_ROW, most_rows * MOST_VALUES_PER_BYTE):
        raise ContentError(f"has {values:,} values of one column in {size:,} bytes")
    decompressed = sum(column.total_uncompressed_size for column in columns)
    most_bytes = max(FREE_BYTES, MOST_BYTES_PER_BYTE * size)
    if decompressed > most_bytes:
        raise ContentError(f"has {decompressed:,} bytes when decompressed, more than {most_bytes:,}")
    return int(decompressed)


def _check_length(metadata: pq.FileMetaData, footer_bytes: int, size: int) -> None:
    """Check that the footer begins where the last column of the last row group ends."""
    end = len(MAGIC)
    if metadata.num_row_groups:
        group = metadata.row_group(metadata.num_row_groups - 1)
        last = group.column(group.num_columns - 1)
        begins = (last.data_page_offset, last.dictionary_page_offset)
        end = min(begin for begin in begins if begin is not None) + last.total_compressed_size
    if size != end + footer_bytes:
        raise ContentError("is damaged: its length does not match its footer")


def _runs(group: pq.RowGroupMetaData) -> tuple[str, str] | None:
    for place in range(group.num_columns):
        column = group.column(place)
        if column.path_in_schema == "run_id":
            found = column.statistics
            if found is None or not found.has_min_max or not isinstance(found.min, str):
                return None
            return found.min, found.max
    return None


def check_schema(schema: pa.Schema, table: str, version: int) -> None:
    """Check that a file has the columns that name the rows of its table, and none of another type than in the schema.

    A missing column was added later and reads as null; a newer program of the same version wrote an unknown one.

    Raises:
        ContentError: a column is missing, or has another type.
    """
    known = is_known(version)
    expected = _expected(table, version) if known else {"run_id": pa.string()}
    if len({name.lower() for name in schema.names}) != len(schema):  # DuckDB takes `A` and `a` for one
        raise ContentError("has two columns of one name")
    names = set(schema.names)
    if missing := [name for name in (KEYS[table] if known else KEYS[table][:1]) if name not in names]:
        raise ContentError(f"is no file of {table}: it has no column {missing[0]}")
    for field in schema:
        wanted = expected.get(field.name, field.type)
        if not _fits(field.type, wanted):
            raise ContentError(
                f"is no file of {table}: its column {field.name} has the type {field.type}, not {wanted}"
            )


@functools.cache
def _expected(table: str, version: int) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in arrow_schema(table, version)}


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a stored column can be read as what is wanted; a struct may lack fields that came later."""
    if found.equals(wanted):
        return True
    if pa.types.is_list(wanted):
        return pa.types.is_list(found) and _fits(found.value_type, wanted.value_type)
    if pa.types.is_struct(wanted):
        if not pa.types.is_struct(found):
            return False
        known = {wanted.field(place).name: wanted.field(place).type for place in range(wanted.num_fields)}
        fields = [found.field(place) for place in range(found.num_fields)]
        return all(field.name not in known or _fits(field.type, known[field.name]) for field in fields)
    if pa.types.is_timestamp(wanted):
        return pa.types.is_timestamp(found) and found.tz is not None
    return bool(pa.types.is_null(found))


def first_line_of_error(error: BaseException) -> str:
    """The first line of an error's message; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
