"""Pages of a Parquet file: their headers agree with the footer, or nothing of the file is decoded."""

import contextlib
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.store.files.arrow import to_table
from analysis.store.files.file_content import ContentError
from analysis.store.files.pages import check_pages
from analysis.store.files.parquet import content_digest, to_parquet
from analysis.store.index.names import file_name
from analysis.store.store import Store
from tests.analysis import synthetic
from tests.analysis.store.stored import rows

TABLE = pa.table({"text": ["x" * 900] * 50, "lists": [[1, 2, 3]] * 50, "numbers": range(50)})


def written(table: pa.Table, **options: Any) -> bytes:  # noqa: ANN401 - pyarrow's own
    sink = io.BytesIO()
    pq.write_table(table, sink, **({"use_dictionary": False, "compression": "none"} | options))
    return sink.getvalue()


def check(content: bytes) -> None:
    check_pages(content, pq.read_metadata(pa.BufferReader(content)))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "none"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_of_sound_files_are_accepted(version: str, compression: str, dictionary: bool) -> None:  # noqa: FBT001
    options = {"compression": compression, "data_page_version": version, "data_page_size": 64}
    check(written(TABLE, use_dictionary=dictionary, **options))


def test_pages_of_every_table_are_accepted() -> None:
    for table, found in synthetic.rows(synthetic.Recipe(rounds=1)).items():
        check(to_parquet([to_table(table, synthetic.Recipe().run_id, found)]))
        check(to_parquet([to_table("samples", "run-a", [])]))


def zigzag(number: int) -> bytes:
    value, found = number << 1, bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def with_header(content: bytes, column: int, before: int, claimed: int) -> bytes:
    """The file with another number, as long as before, in the header of a column's first page."""
    offset = pq.read_metadata(pa.BufferReader(content)).row_group(0).column(column).data_page_offset
    old, new = zigzag(before), zigzag(claimed)
    assert len(old) == len(new)
    place = content.index(old, offset, offset + 16)
    return content[:place] + new + content[place + len(old) :]


def test_page_that_claims_more_bytes_than_the_footer_is_refused() -> None:
    size = 50 * 904
    changed = with_header(written(TABLE.select(["text"]), column_encoding="PLAIN"), 0, size + 6, 2**20 - 1)
    with pytest.raises(ContentError, match="its pages are larger than its footer says"):
        check(changed)


def test_page_that_claims_more_values_than_the_footer_is_refused() -> None:
    changed = with_header(written(TABLE.select(["lists"])), 0, 150, 8000)
    with pytest.raises(ContentError, match="its pages are larger than its footer says"):
        check(changed)


@pytest.mark.parametrize("place", range(16))
def test_damaged_page_header_is_refused_or_harmless(place: int) -> None:
    content = bytearray(written(TABLE.select(["numbers"])))
    offset = pq.read_metadata(pa.BufferReader(bytes(content))).row_group(0).column(0).data_page_offset
    for value in (0, 0x7F, 0x80, 0xFF):
        content[offset + place] = value
        with contextlib.suppress(ContentError):
            check(bytes(content))


def test_run_whose_pages_lie_is_left_out(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("run-a", rows("run-a", "x"))
    (path,) = (tmp_path / "runs").iterdir()
    lying = with_header(path.read_bytes(), 0, 1, 60)
    path.unlink()
    store.files.put(file_name("runs", "run-a", content_digest(lying)), lying)
    (one,) = store.inventory().left_out
    assert (one.run_id, one.reason) == ("run-a", "is damaged: its pages are larger than its footer says")
