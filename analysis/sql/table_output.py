"""Answers as tables or records on a terminal, or as tab-separated text for programs."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import pyarrow as pa
from rich.table import Table

from analysis.console.sanitizing import strip_controls
from analysis.console.terminal import Terminal, Text
from analysis.formatting import count

MOST_ROWS = 1000
"""So many rows are printed on a terminal."""

_NARROWEST = 12
"""A text or a heading is folded to no fewer letters; a number and a time are not folded."""

_BETWEEN = 2


def print_table(answer: pa.Table, console: Terminal) -> None:
    """Print an answer: a table on a terminal, tab-separated lines with a header elsewhere.

    Numbers have six significant digits on a terminal and all of them elsewhere. Null is a dash on a terminal, unlike an
    empty text or zero, and empty elsewhere.
    """
    if not answer.num_columns:
        console.print("Done.")
    elif console.is_terminal:
        _as_table(answer, console)
    else:
        lines = ["\t".join(map(_exact, answer.column_names))]
        lines += ["\t".join(map(_exact, row)) for row in rows(answer)]
        console.lines("\n".join(lines))


def _as_table(answer: pa.Table, console: Terminal) -> None:
    cells = [tuple(map(readable, row)) for row in rows(answer.slice(0, MOST_ROWS))]
    room = sum(
        _least_width(field, column) for field, column in zip(answer.schema, _columns(answer, cells), strict=True)
    )
    if room + _BETWEEN * (answer.num_columns - 1) <= console.width:
        console.print(_table(answer.schema, cells), crop=True)
    else:
        _print_records(answer.column_names, cells, console)
    if answer.num_rows > MOST_ROWS:
        console.print(
            f"{answer.num_rows - MOST_ROWS} more of {answer.num_rows} rows; add a LIMIT, or send the output to a file."
        )
    else:
        console.print(count(answer.num_rows, "row"), style="dim")


def _columns(answer: pa.Table, cells: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return list(zip(*cells, strict=True)) or [()] * answer.num_columns


def _least_width(field: pa.Field, cells: tuple[str, ...]) -> int:
    """How many letters a column must have to be read."""
    longest = max(map(len, cells), default=0)
    return max(longest if _is_whole(field.type) else min(longest, _NARROWEST), min(len(field.name), _NARROWEST))


def _is_whole(kind: pa.DataType) -> bool:
    return _is_number(kind) or bool(pa.types.is_temporal(kind))


def _table(schema: pa.Schema, cells: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, field in enumerate(schema):
        least = _least_width(field, tuple(row[place] for row in cells))
        justify: Literal["right", "left"] = "right" if _is_number(field.type) else "left"
        whole = _is_whole(field.type)
        table.add_column(Text(field.name), justify=justify, overflow="fold", min_width=least, no_wrap=whole)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _print_records(names: list[str], cells: list[tuple[str, ...]], console: Terminal) -> None:
    """A line for each column of each row, as no terminal is wide enough for a hundred columns.

    Without rows there is a line for each column's name.
    """
    if not cells:
        console.print("\n".join(names), soft_wrap=True)
        return
    width = max(map(len, names))
    for number, row in enumerate(cells, start=1):
        console.print(f"row {number}", style="bold")
        lines = (f"{name:{width}}  {value}" for name, value in zip(names, row, strict=True))
        console.print("\n".join(lines), soft_wrap=True)


def rows(answer: pa.Table) -> list[tuple[object, ...]]:
    """The rows of an answer."""
    return list(zip(*map(_values, answer.columns), strict=True))


def _values(column: pa.ChunkedArray) -> list[object]:
    """A column's values, with a text for those that Python does not have, such as a date after the year 9999."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        kind = scalar.type
        if (pa.types.is_timestamp(kind) or pa.types.is_time64(kind)) and kind.unit == "ns":
            # finer than Python's times; of all others Arrow's text may have another year
            return str(scalar.cast(pa.string()).as_py()).replace(" ", "T")
        return "out of range"


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def readable(value: object) -> str:
    """A value for readers: numbers with six significant digits, a dash for null."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
    return _exact(value)


def _exact(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=_exact)
    return strip_controls(str(value)).replace("\t", " ").replace("\n", " ")
