"""The answer to a query as a document: any columns, with the type of each."""

from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa

from analysis.console import markdown
from analysis.console.documents import DocumentModel, Grid, Item, plain
from analysis.sql.table_output import readable, rows


class ColumnItem(Item):
    """A column of an answer."""

    name: str
    type: str
    """As Arrow names it, such as double or timestamp[us, tz=UTC]."""


class KnownQuestion(Item):
    """A question that the verb query can answer by its name."""

    name: str
    question: str


class QueryDocument(DocumentModel):
    """The answer to SQL or to a stored question; to neither, the columns of all views, and the questions."""

    document: Literal["query"] = "query"
    version: Literal[1] = 1
    question: str | None
    """The name of the question; null where SQL was given, or neither."""
    columns: tuple[ColumnItem, ...]
    rows: tuple[dict[str, Any], ...]
    """By the names of the columns. Times are texts in ISO 8601; what JSON has no number for is the text NaN, Infinity
    or -Infinity."""
    questions: tuple[KnownQuestion, ...]
    """Empty where something was asked."""


def query_document(answer: pa.Table, question: str | None, questions: tuple[KnownQuestion, ...]) -> QueryDocument:
    """The document of an answer."""
    names = _distinct(answer.column_names)
    return QueryDocument(
        question=question,
        columns=tuple(
            ColumnItem(name=name, type=str(field.type)) for name, field in zip(names, answer.schema, strict=True)
        ),
        rows=tuple(
            {name: plain(_with_numbers(value)) for name, value in zip(names, row, strict=True)} for row in rows(answer)
        ),
        questions=questions,
    )


def answer_grid(answer: pa.Table) -> Grid:
    """The columns and rows of an answer."""
    return Grid(answer.column_names, rows(answer))


def answer_markdown(answer: pa.Table) -> str:
    """An answer as a Markdown table; numbers have six significant digits."""
    if not answer.num_columns:
        return "Done."
    cells = (map(markdown.escape, map(readable, row)) for row in rows(answer))
    return markdown.table([markdown.escape(name) for name in answer.column_names], cells)


def _with_numbers(value: object) -> object:
    """A value with numbers for its decimals: DuckDB's sums of integers are decimals, which else were texts."""
    match value:
        case Decimal() if value.is_finite():
            return int(value) if value == value.to_integral_value() else float(value)
        case list() | tuple():
            return [_with_numbers(item) for item in value]
        case dict():
            return {name: _with_numbers(item) for name, item in value.items()}
        case _:
            return value


def _distinct(names: list[str]) -> list[str]:
    """The names, with a number behind each that stands twice: SQL may give two columns one name."""
    found: list[str] = []
    for name in names:
        number, distinct = 1, name
        while distinct in found:
            number += 1
            distinct = f"{name}_{number}"
        found.append(distinct)
    return found
