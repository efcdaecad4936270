"""Rows become tables: whatever fits comes out as it went in, and what does not is named."""

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import BadInput
from analysis.sql import database
from analysis.store.files.arrow import KEYS, to_table
from analysis.store.schema import SCHEMA_VERSION, TABLES, arrow_schema
from analysis.store.store import Store

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


JSON = st.none() | st.dictionaries(TEXT, TEXT | st.integers() | st.none(), max_size=3).map(json.dumps)

SCALARS: list[tuple[Callable[[pa.DataType], bool], st.SearchStrategy[Any]]] = [
    (pa.types.is_timestamp, st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
    (pa.types.is_floating, st.floats(allow_nan=False, allow_infinity=False)),
    (pa.types.is_boolean, st.booleans()),
    (pa.types.is_int32, st.integers(-(2**31), 2**31 - 1)),
    (pa.types.is_int64, st.integers(-(2**63), 2**63 - 1)),
    (pa.types.is_string, TEXT),
]


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Any value that a column of this type can hold, and null."""
    return st.none() | present(kind)


def present(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Likewise, but never null, as the items of a list."""
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({kind.field(i).name: values(kind.field(i).type) for i in range(kind.num_fields)})
    if pa.types.is_list(kind):
        return st.lists(present(kind.value_type), max_size=3)
    return next(strategy for is_one, strategy in SCALARS if is_one(kind))


def rows_of(table: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows with any values, but keys that are there and apart."""
    fields = {column.name: JSON if column.unit == "JSON" else values(column.type) for column in TABLES[table]}
    fixed = {"run_id": st.just("run-a")} | ({"schema_version": st.just(SCHEMA_VERSION)} if table == "runs" else {})
    row = st.fixed_dictionaries(fields | fixed)
    most = 1 if table == "runs" else 4

    def number(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        keys = [key for key in KEYS[table] if key != "run_id"]
        return [one | dict.fromkeys(keys, number) for number, one in enumerate(found, 1)]

    return st.lists(row, min_size=1, max_size=most).map(number)


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=50)
@given(data=st.data())
def test_any_row_round_trips_through_arrow(table: str, data: st.DataObject) -> None:
    rows = data.draw(rows_of(table))
    made = to_table(table, "run-a", rows)
    assert made.schema.equals(arrow_schema(table), check_metadata=True)
    assert made.to_pylist() == rows


@settings(max_examples=15)
@given(run=rows_of("runs"), visits=rows_of("visits"), trials=rows_of("trials"), samples=rows_of("samples"))
def test_any_run_round_trips_through_the_database(
    tmp_path_factory: pytest.TempPathFactory,
    run: list[dict[str, Any]],
    visits: list[dict[str, Any]],
    trials: list[dict[str, Any]],
    samples: list[dict[str, Any]],
) -> None:
    store = Store(str(tmp_path_factory.mktemp("results")))
    rows = {"runs": run, "visits": visits, "trials": trials, "samples": samples}
    store.write("run-a", rows)
    con = database.connect(store)
    for table, expected in rows.items():
        order = ", ".join(KEYS[table])
        found = database.query(con, f"select * from {table} order by {order}").to_pylist()
        assert found == expected
    con.close()


def run(**columns: object) -> list[dict[str, object]]:
    return [{"run_id": "run-a", **columns}]


def trial(**columns: object) -> list[dict[str, object]]:
    return [{"run_id": "run-a", "visit": 1, "trial": 1, **columns}]


def trial_samples(**columns: object) -> list[dict[str, object]]:
    return [{"run_id": "run-a", "trial": 1, **columns}]


def test_json_document_has_no_infinite_or_nan_number() -> None:
    (stored,) = to_table("runs", "run-a", run(provenance={"a": math.nan, "b": [math.inf, 1.5]})).to_pylist()
    assert stored["provenance"] == '{"a": null, "b": [null, 1.5]}'


def test_missing_value_is_null_never_zero() -> None:
    (row,) = to_table("trials", "run-a", trial(received_bps=None)).to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == trial()[0]


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_null(figure: float) -> None:
    assert to_table("trials", "run-a", trial(received_bps=figure))["received_bps"].to_pylist() == [None]


def test_store_fills_in_run_id_and_schema_version() -> None:
    (row,) = to_table("runs", "run-a", [{}]).to_pylist()
    assert (row["run_id"], row["schema_version"]) == ("run-a", SCHEMA_VERSION)


def test_json_documents_and_iso_times_are_accepted() -> None:
    (row,) = to_table(
        "runs", "run-a", run(parameters={"b": 1, "a": "ü"}, started_at="2026-03-01T12:00:00Z")
    ).to_pylist()
    assert row["parameters"] == '{"a": "ü", "b": 1}'
    assert row["started_at"] == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        ("trails", [], r"there is no table 'trails'; the tables are runs, visits, trials, samples"),
        ("trials", trial(recieved_bps=1), r"row 1 of trials has a column 'recieved_bps' that trials does not have"),
        ("trials", trial(nodes=[{"nod": "a"}]), r"nodes in row 1 of trials has an unknown field 'nod'"),
        ("trials", trial(nodes={"node": "a"}), r"nodes in row 1 of trials must be a list"),
        ("trials", trial(nodes=["a"]), r"nodes in row 1 of trials must be a mapping, got 'a'"),
        (
            "trials",
            trial(flags=["steal", None]),
            r"flags in row 1 of trials must be a list without null, and item 2 is null; leave it out",
        ),
        ("trials", trial(nodes=[None]), r"nodes in row 1 of trials must be a list without null, and item 1 is null"),
        ("trials", trial(flags="steal"), r"flags in row 1 of trials must be a list, got 'steal'"),
        ("trials", trial(received_bps="fast"), r"received_bps in row 1 of trials must be a number, got 'fast'"),
        ("trials", trial(received_bps=True), r"received_bps in row 1 of trials must be a number, got True"),
        ("trials", trial(streams="many"), r"streams in row 1 of trials must be int32, got 'many'"),
        ("trials", trial(streams=2**40), r"streams in row 1 of trials must be int32, got 1099511627776"),
        (
            "trials",
            trial(retransmits=2**64 - 1),
            r"retransmits in row 1 of trials must be int64, got 18446744073709551615",
        ),
        (
            "trials",
            trial(retransmits=10**5000),
            r"retransmits in row 1 of trials must be int64, got an integer of 16610",
        ),
        ("trials", trial(received_bps=10**400), r"received_bps in row 1 of trials must be a number of at most"),
        ("trials", trial(nodes=[{"cores": 2**40}]), r"nodes in row 1 of trials must be list"),
        ("trials", trial(error="\ud800"), r"error in row 1 of trials must be string"),
        (
            "samples",
            [*trial_samples(), *trial_samples(lost_packets=2**70)],
            r"lost_packets in row 2 of samples must be int64",
        ),
        ("trials", trial(started_at=datetime(2026, 1, 1)), r"must have a time zone, got 2026-01-01"),  # noqa: DTZ001
        ("trials", trial(started_at="yesterday"), r"must be a time, such as .*, got 'yesterday'"),
        ("runs", run(parameters="{"), r"parameters in row 1 of runs must be a JSON document"),
        ("trials", trial(started_at=5), r"must be a time, got 5"),
        ("trials", trial() + trial(), r"trials has two rows for run_id run-a, trial 1"),
        ("trials", trial(trial=None), r"row 1 of trials has no trial"),
        ("trials", trial(run_id="run-b"), r"row 1 of trials belongs to the run 'run-b', not to 'run-a'"),
        ("runs", [], r"a run is one row of runs, got 0"),
        ("runs", run() + run(), r"a run is one row of runs, got 2"),
    ],
)
def test_value_that_does_not_fit_its_column_is_named(table: str, rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        to_table(table, "run-a", rows)


def numbers(field: pa.Field, place: str) -> Iterator[tuple[str, pa.Field]]:
    """The fields that hold numbers, at whatever depth; a list of numbers has the unit of its field."""
    kind = field.type
    while pa.types.is_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        for inner in kind:
            yield from numbers(inner, f"{place}.{inner.name}")
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        yield place, field


@pytest.mark.parametrize("table", TABLES)
def test_every_number_has_a_unit_that_agrees_with_its_name(table: str) -> None:
    found = [pair for field in arrow_schema(table) for pair in numbers(field, field.name)]
    units = {place: (field.metadata or {}).get(b"unit", b"").decode() for place, field in found}
    assert len(units) > 1
    assert [place for place, unit in units.items() if not unit] == []
    ends = {"_bytes": "B", "_bps": "bit/s", "_per_s": "1/s", "_s": "s", "_ratio": "1", "_per_gbit": "s/Gbit"}
    for place, unit in units.items():
        expected = next((known for end, known in ends.items() if place.endswith(end)), "1")
        assert unit == ("bit/s" if place == "bps" else expected), place


def test_units_are_in_the_stored_parquet_file(tmp_path: Path) -> None:
    made = to_table("visits", "run-1", [{"run_id": "run-1", "visit": 1}])
    pq.write_table(made, tmp_path / "visits.parquet")
    usage = pq.read_schema(tmp_path / "visits.parquet").field("idle_nodes").type.value_type
    assert usage.field("memory_used_bytes").metadata[b"unit"] == b"B"
    assert usage.field("busy_ratio").metadata[b"unit"] == b"1"
