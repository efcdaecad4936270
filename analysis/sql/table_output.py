"""Answers as tables on a terminal, or as tab-separated text for programs."""

import json
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
from rich.table import Table

from analysis.console.sanitizing import strip_controls
from analysis.console.terminal import Terminal, Text
from analysis.formatting import count

MOST_ROWS = 1000
"""So many rows are printed on a terminal."""


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
    table = Table(box=None, header_style="bold", pad_edge=False)
    for field in answer.schema:
        table.add_column(Text(field.name), justify="right" if _is_number(field.type) else "left", overflow="fold")
    for row in rows(answer.slice(0, MOST_ROWS)):
        table.add_row(*(Text(readable(value)) for value in row))
    console.print(table)
    if answer.num_rows > MOST_ROWS:
        console.print(
            f"{answer.num_rows - MOST_ROWS} more of {answer.num_rows} rows; add a LIMIT, or send the output to a file."
        )
    else:
        console.print(count(answer.num_rows, "row"), style="dim")


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
