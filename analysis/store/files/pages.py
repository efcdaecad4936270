"""Checks of the pages of a Parquet file against its footer: Arrow allocates what a page's own header claims."""

from dataclasses import dataclass
from typing import Final

import pyarrow.parquet as pq

from analysis.store.files.file_content import ContentError

_DECOMPRESSED, _COMPRESSED = 2, 3
_DATA_PAGES: Final = (5, 8)
"""Fields of a page's header that are there for a page with values; the first field of each is their number."""

_FIXED_BYTES: Final = {1: 0, 2: 0, 3: 1, 7: 8}
"""Kinds of the protocol, with the bytes that follow: true, false, a byte, a double."""

_INTEGERS: Final = frozenset({4, 5, 6})
_BINARY: Final = 8
_STRUCT: Final = 12
_MOST_DEPTH: Final = 4


def check_pages(content: bytes, metadata: pq.FileMetaData) -> None:
    """Check the sizes of all pages of a file against its footer.

    Raises:
        ContentError: a page is larger, or has more values, than the footer says.
    """
    try:
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                _check_column(content, column)
    except IndexError as error:
        raise ContentError("is damaged: a page's header is cut short") from error


def _check_column(content: bytes, column: pq.ColumnChunkMetaData) -> None:
    begin = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)), default=0)
    if begin < 0:
        raise ContentError("is damaged: a column begins before the file")
    end = begin + column.total_compressed_size
    decompressed = values = 0
    reader = _CompactReader(content, begin)
    while reader.at < end:
        start = reader.at
        header = reader.read_struct()
        size, compressed = header.get(_DECOMPRESSED), header.get(_COMPRESSED)
        if not isinstance(size, int) or not isinstance(compressed, int) or min(size, compressed) < 0:
            raise ContentError("is damaged: a page has no size")
        decompressed += size + reader.at - start
        for data in (header[field] for field in _DATA_PAGES if field in header):
            found = data.get(1) if isinstance(data, dict) else None
            values += found if isinstance(found, int) else column.num_values + 1
        reader.at += compressed
    if decompressed > column.total_uncompressed_size or values > column.num_values:
        raise ContentError("is damaged: its pages are larger than its footer says")


@dataclass
class _CompactReader:
    """Reads structs in Thrift's compact protocol, by which Parquet writes its headers.

    https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
    """

    content: bytes
    at: int

    def read_struct(self, depth: int = 0) -> dict[int, object]:
        """The integers and structs of a struct, by the number of their field; others are passed over.

        Raises:
            IndexError: the content ends before the struct.
        """
        fields: dict[int, object] = {}
        number = 0
        while head := self.content[self.at]:
            self.at += 1
            delta, kind = divmod(head, 16)
            number = number + delta if delta else self._integer()
            fields[number] = self._integer() if kind in _INTEGERS else self._value(kind, depth)
        self.at += 1
        return fields

    def _value(self, kind: int, depth: int) -> object:
        if kind == _STRUCT and depth < _MOST_DEPTH:
            return self.read_struct(depth + 1)
        if kind == _BINARY:
            length = self._varint()
            self.at += length
        elif kind in _FIXED_BYTES:
            self.at += _FIXED_BYTES[kind]
        else:
            raise ContentError("is damaged: a page's header is invalid")
        return None

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.content[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if not byte & 128:
                return value
        raise ContentError("is damaged: a page's header is invalid")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
