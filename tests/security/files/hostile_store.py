"""Runs that somebody else put into a store to do harm: each is well-formed, named by its content, and lies."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from analysis.store.files.arrow import to_table
from analysis.store.files.parquet import content_digest, to_parquet
from analysis.store.index.names import file_name
from analysis.store.index.run_entries import BOOKKEEPING, FILES, WRITTEN_AT
from analysis.store.schema import TABLES
from analysis.store.store import Store
from tests.analysis.store.stored import rows

Tables = dict[str, pa.Table]
Change = Callable[[Tables], None]


def plant(store: Store, run_id: str, change: Change) -> None:
    """Put a run as the store puts one, after a change of its tables; `runs` has its bookkeeping by then."""
    written = rows(run_id, "x")
    tables = {table: to_table(table, run_id, written[table]) for table in TABLES}
    for field, value in zip(BOOKKEEPING, (datetime(2026, 3, 2, tzinfo=UTC), None), strict=True):
        tables["runs"] = tables["runs"].append_column(field, pa.array([value], field.type))
    change(tables)
    names = [_put(store, table, run_id, tables[table]) for table in TABLES if table != "runs"]
    if tables["runs"][FILES].null_count == tables["runs"].num_rows:
        tables["runs"] = with_column(tables["runs"], FILES, names)
    _put(store, "runs", run_id, tables["runs"])


def _put(store: Store, table: str, run_id: str, content: pa.Table) -> str:
    written = to_parquet([content])
    name = file_name(table, run_id, content_digest(written))
    path = Path(store.files.path(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written)
    return name


def with_column(table: pa.Table, name: str, value: object, kind: pa.DataType | None = None) -> pa.Table:
    """The table with one value in all rows of a column, which is added where it is not there."""
    place = table.schema.get_field_index(name)
    field = pa.field(name, kind or table.schema.field(place).type)
    column = pa.array([value], field.type).take(pa.array([0] * table.num_rows, pa.int32()))
    return table.append_column(field, column) if place < 0 else table.set_column(place, field, column)


def column(table: str, name: str, value: object, kind: pa.DataType | None = None) -> Change:
    """Set a column of a table."""

    def change(tables: Tables) -> None:
        tables[table] = with_column(tables[table], name, value, kind)

    return change


def repeated(table: str, times: int, **columns: object) -> Change:
    """Repeat the first row of a table, after columns of it were set."""

    def change(tables: Tables) -> None:
        for name, value in columns.items():
            tables[table] = with_column(tables[table], name, value)
        tables[table] = tables[table].take(pa.array([0] * times))

    return change


def columns(table: str, **values: Any) -> Change:  # noqa: ANN401 - a value of any column
    """Set columns of a table."""

    def change(tables: Tables) -> None:
        for name, value in values.items():
            tables[table] = with_column(tables[table], name, value)

    return change


ENDLESS: Final = 2**62
"""Microseconds: far after the year 9999, the last that Python has."""

LEFT_OUT: Final[dict[str, tuple[Change, str]]] = {
    "parameters-cut": (column("runs", "parameters", "{"), "has invalid parameters (Invalid JSON"),
    "parameters-empty": (column("runs", "parameters", ""), "has invalid parameters (Invalid JSON"),
    "parameters-surrogate": (column("runs", "parameters", '{"a": "\\ud800"}'), "has invalid parameters (Invalid JSON"),
    "parameters-deep": (column("runs", "parameters", "[" * 9999 + "]" * 9999), "has invalid parameters (Invalid JSON"),
    "parameters-text": (column("runs", "parameters", '"x"'), "has invalid parameters (Input should be an object"),
    "parameters-dataplanes": (column("runs", "parameters", '{"dataplanes": 5}'), "has invalid parameters (dataplanes."),
    "parameters-names": (
        column("runs", "parameters", '{"dataplanes": ["a", {"name": {"a": [1]}}]}'),
        "has invalid parameters (dataplanes.1.",
    ),
    "parameters-cells": (column("runs", "parameters", '{"cells": [[[]]]}'), "has invalid parameters (cells.0."),
    "parameters-repeats": (column("runs", "parameters", '{"repeats": 5}'), "has invalid parameters (repeats."),
    "parameters-topologies": (column("runs", "parameters", '{"topologies": 5}'), "has invalid parameters (topologies."),
    "parameters-figures": (
        column("runs", "parameters", '{"tools": [{"name": "tcp", "figures": null}]}'),
        "has invalid parameters (tools.0.figures.",
    ),
    "parameters-decided": (
        column("runs", "parameters", '{"decided_after": {"alpha": "x"}}'),
        "has invalid parameters (decided_after.alpha.",
    ),
    "parameters-margin": (
        column("runs", "parameters", '{"margin_ratio": -1}'),
        "has invalid parameters (margin_ratio.Input should be greater than 0",
    ),
    "parameters-rounds": (
        column("runs", "parameters", '{"rounds": 10000000}'),
        "has invalid parameters (rounds.Input should be less than or equal to 1000",
    ),
    "provenance-cut": (column("runs", "provenance", "{"), "has invalid provenance (Invalid JSON"),
    "parameters-long": (column("runs", "parameters", f'["{"x" * 2**21}"]'), "has parameters of 2,097,156 characters"),
    "id-of-another": (column("runs", "run_id", "run-a"), "has a row of a run 'run-a', which this file can't have"),
    "id-with-slashes": (column("runs", "run_id", "../../x"), "has a row of a run '../../x', which this"),
    "id-with-escapes": (column("runs", "run_id", "\x1b]0;x\x07"), "has a row of a run '\\x1b]0;x"),
    "time-written-late": (column("runs", WRITTEN_AT, datetime(9999, 12, 31, tzinfo=UTC)), "written in the year 9999"),
    "time-written-endless": (column("runs", WRITTEN_AT, ENDLESS), "has invalid values (date value out of range)"),
    "time-started-endless": (column("runs", "started_at", ENDLESS), "has a time outside the years 1 to 9999"),
    "time-finished-endless": (column("runs", "finished_at", -ENDLESS), "has a time outside the years 1 to 9999"),
    "version-next": (column("runs", "schema_version", 3), "was written by a newer version of this program"),
    "version-last": (column("runs", "schema_version", 2**31 - 1), "was written by a newer version of this program"),
    "version-first": (column("runs", "schema_version", -(2**31)), "has rows of schema version -2147483648"),
    "version-next-files": (columns("runs", schema_version=3, store_files=[None, "/etc/passwd"]), "a newer version"),
    "files-outside": (column("runs", FILES, ["trials/../../outside/private.parquet"]), "can't be one of the run's"),
    "files-absolute": (column("runs", FILES, ["/etc/passwd"]), "can't be one of the run's"),
    "files-null": (column("runs", FILES, [None]), "can't be one of the run's"),
    "files-of-another": (
        column("runs", FILES, [f"trials/run-a.{'0' * 16}.parquet"]),
        "names a file 'trials/run-a.0000000000000000.parquet' that can't be one of the run's",
    ),
    "files-many": (
        column("runs", FILES, [f"trials/packed-{n}.{n:016x}.parquet" for n in range(10_000)]),
        "names 10,000 files, and a run has one a table",
    ),
    "columns-by-case": (column("trials", "Received_BPS", "fast", pa.string()), "has two columns of one name"),
    "type-of-runs": (column("runs", "environment", {"x": 1}, pa.struct([("x", pa.int64())])), "its column environment"),
    "rows-of-runs": (repeated("runs", 200_000), "has 200,000 rows in"),
    "rows-of-trials": (repeated("trials", 200_000), "has 200,000 rows in"),
    "rows-of-samples": (repeated("samples", 200_000), "has 200,000 rows in"),
    "values-of-trials": (column("trials", "flags", [None] * 200_000), "has 600,000 values of one column in"),
    "bytes-compressed": (column("runs", "provenance", "x" * 2**24), "bytes when decompressed, more than"),
    "bytes-repeated": (repeated("runs", 40, provenance="x" * 2**20), "bytes when decoded, from"),
    "bytes-of-trials": (column("trials", "error", "x" * 2**24), "bytes when decompressed, more than"),
}
"""Runs, by name, that can't be shown without harm; and a part of the reason that is given."""

SHOWN: Final[dict[str, Change]] = {
    "unknown-number": column("runs", "later", 1, pa.int64()),
    "unknown-struct": column("runs", "later", {"x": "y"}, pa.struct([("x", pa.string())])),
    "unknown-number-of-trials": column("trials", "later", 1, pa.int64()),
    "unknown-struct-of-trials": column("trials", "later", {"x": "y"}, pa.struct([("x", pa.string())])),
    "verdict-cut": column("runs", "verdict", "["),
    "time-of-trials-endless": column("trials", "started_at", ENDLESS),
    "time-of-evidence-endless": column("visits", "evidence", [{"node": "a", "at": ENDLESS}, None]),
    "flags-of-null": column("trials", "flags", [None]),
    "changes-of-null": column("visits", "changes", [None]),
    "nodes-of-null": column("trials", "nodes", [None]),
    "times-of-null": column("trials", "programming_s", [None, 0.5]),
    "escapes": column("trials", "error", "\x1b]0;owned\x07\x1b[2J[/nope]"),
    "figures-of-no-number": column("trials", "received_bps", float("nan")),
    "figures-below-zero": column("trials", "received_bps", -1.0),
}
"""Runs that are odd and harm nobody."""
