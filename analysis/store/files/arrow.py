"""Rows of the steps as Arrow tables of the stored schema: checked, and completed with null."""

import functools
import json
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from pydantic_core import from_json

from analysis.errors import BadInput
from analysis.store.schema import SCHEMA_VERSION, TABLES, arrow_schema

Row = Mapping[str, Any]

KEYS: Final = {
    "runs": ("run_id",),
    "visits": ("run_id", "visit"),
    "trials": ("run_id", "trial"),
    "samples": ("run_id", "trial"),
}
"""The key columns of each table. No row may lack one; only `samples` has several rows of one key."""

_LONG_BITS: Final = 256


def to_table(table: str, run_id: str, rows: Sequence[Row]) -> pa.Table:
    """The rows of one run, from column name to value, as a table of the stored schema, in the order given.

    A missing `run_id` or `schema_version` is filled in; any other missing value becomes null, and so does a number that
    is not finite. Times are datetimes or ISO 8601 texts; a JSON column may be a mapping.

    Raises:
        BadInput: a table or column is unknown, a value has the wrong type, a key is missing or occurs twice.
    """
    if table not in TABLES:
        raise BadInput(f"there is no table {table!r}; the tables are {', '.join(TABLES)}")
    schema = arrow_schema(table)
    defaults = {"run_id": run_id, "schema_version": SCHEMA_VERSION}
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    converters = _converters(table)
    for number, row in enumerate(rows, 1):
        place = f"row {number} of {table}"
        if unknown := sorted(set(row) - set(columns)):
            raise BadInput(
                f"{place} has a column {unknown[0]!r} that {table} does not have; add it to analysis/store/schema.py"
            )
        for name, column in columns.items():
            value = row.get(name)
            if value is None:
                value = defaults.get(name)
            elif (convert := converters.get(name)) is not None:
                value = convert(value, f"{name} in {place}")
            column.append(value)
    _check_keys(table, run_id, columns)
    return pa.table([_array(columns[f.name], f, table) for f in schema], schema=schema)


def _array(values: list[Any], field: pa.Field, table: str) -> pa.Array:
    try:
        return pa.array(values, type=field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        for number, value in enumerate(values, 1):
            if not _fits(value, field):
                place = f"{field.name} in row {number} of {table}"
                raise BadInput(f"{place} must be {field.type}, got {_shown(value)}") from error
        raise BadInput(f"{field.name} in {table} must be {field.type}: {error}") from error


def _fits(value: Any, field: pa.Field) -> bool:  # noqa: ANN401 - a value of any column
    try:
        pa.array([value], type=field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _shown(value: Any) -> str:  # noqa: ANN401 - a value of any column
    """A value in a sentence. Python refuses to write very long integers."""
    if isinstance(value, int) and value.bit_length() > _LONG_BITS:
        return f"an integer of {value.bit_length()} bits"
    return reprlib.repr(value)


Converter = Callable[[Any, str], Any]
"""From a value that is not None, and what it is in a sentence, to one that Arrow takes; raises BadInput."""


@functools.cache
def _converters(table: str) -> Mapping[str, Converter]:
    """By column, where Arrow would drop a field or guess a time zone; made once, since its types are slow to read."""
    found = {c.name: _json if c.unit == "JSON" else _converter(c.type) for c in TABLES[table]}
    return {name: convert for name, convert in found.items() if convert is not None}


def _converter(kind: pa.DataType) -> Converter | None:
    """That of a type; None where Arrow takes only what fits."""
    if pa.types.is_floating(kind):
        return _finite
    if pa.types.is_timestamp(kind):
        return _time
    if pa.types.is_list(kind):
        numbers = pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
        return functools.partial(_list, _converter(kind.value_type), numbers)
    if pa.types.is_struct(kind):
        return functools.partial(_struct, {field.name: _converter(field.type) for field in kind})
    return None


def _list(convert: Converter | None, numbers: bool, value: Any, place: str) -> list[Any]:  # noqa: ANN401, FBT001 - any value
    """A list; only among numbers may an item be null, which is what one that is not finite becomes."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise BadInput(f"{place} must be a list, got {value!r}")
    if not numbers and None in value:
        raise BadInput(
            f"{place} must be a list without null, and item {list(value).index(None) + 1} is null; leave it out"
        )
    return list(value) if convert is None else [None if v is None else convert(v, place) for v in value]


def _struct(fields: Mapping[str, Converter | None], value: Any, place: str) -> Row:  # noqa: ANN401 - likewise
    if not isinstance(value, Mapping):
        raise BadInput(f"{place} must be a mapping, got {value!r}")
    if unknown := sorted(set(value) - set(fields)):
        raise BadInput(f"{place} has an unknown field {unknown[0]!r}; fields are named in analysis/store/schema.py")
    plain = dict[str, Any]()
    for name, convert in fields.items():
        part = value.get(name)
        plain[name] = part if part is None or convert is None else convert(part, f"{place}, field {name},")
    return plain


def _json(value: Any, place: str) -> str:  # noqa: ANN401 - any document
    """A document as text. Numbers that are not finite become null: neither JSON nor DuckDB has them."""

    def finite(part: Any) -> Any:  # noqa: ANN401 - any part of a document
        if isinstance(part, float) and not math.isfinite(part):
            return None
        if isinstance(part, Mapping):
            return {key: finite(inner) for key, inner in part.items()}
        return [finite(inner) for inner in part] if isinstance(part, list | tuple) else part

    try:
        if isinstance(value, str):
            from_json(value, allow_inf_nan=False)
            return value
        return json.dumps(finite(value), ensure_ascii=False, sort_keys=True, default=str, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{place} must be a JSON document: {type(error).__name__}") from error


def _finite(value: Any, place: str) -> float | None:  # noqa: ANN401 - a value of any column
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{place} must be a number, got {_shown(value)}")
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        raise BadInput(f"{place} must be a number of at most 1.8e308, got {_shown(value)}") from None


def _time(value: Any, place: str) -> datetime:  # noqa: ANN401 - a value of any column
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise BadInput(f"{place} must be a time, such as 2026-01-31T12:00:00Z, got {value!r}") from error
    if not isinstance(value, datetime):
        raise BadInput(f"{place} must be a time, got {value!r}")
    if value.tzinfo is None:
        raise BadInput(f"{place} must have a time zone, got {value.isoformat()}")
    return value


def _check_keys(table: str, run_id: str, columns: Mapping[str, Sequence[Any]]) -> None:
    if table == "runs" and len(columns["run_id"]) != 1:
        raise BadInput(f"a run is one row of runs, got {len(columns['run_id'])} rows for {run_id}")
    for number, found in enumerate(columns["run_id"], 1):
        if found != run_id:
            raise BadInput(f"row {number} of {table} belongs to the run {found!r}, not to {run_id!r}")
    for name in KEYS[table]:
        if None in columns[name]:
            raise BadInput(f"row {columns[name].index(None) + 1} of {table} has no {name}")
    if table == "samples":
        return
    keys: set[tuple[Any, ...]] = set()
    for key in zip(*(columns[name] for name in KEYS[table]), strict=True):
        if key in keys:
            named = ", ".join(f"{name} {value}" for name, value in zip(KEYS[table], key, strict=True))
            raise BadInput(f"{table} has two rows for {named}")
        keys.add(key)
