"""Documents that a verb prints on standard output: as text, JSON, YAML, CSV or Markdown.

A verb describes its document by a `PrintableDocument`, and calls `print_document`. Whatever else it has to say goes to
the terminal of `aside`, so that nothing but the document is on standard output.
"""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Self, assert_never, get_args

import yaml
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_jsonable_python

from analysis.console.sanitizing import strip_controls
from analysis.console.terminal import CheckedStream, Terminal

Format = Literal["text", "json", "yaml", "csv", "markdown"]

_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class Item(BaseModel):
    """A part of a document. One inside another is made of any object with attributes of its fields' names."""

    model_config = ConfigDict(
        frozen=True,
        from_attributes=True,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )

    @classmethod
    def of(cls, found: object, **known: Any) -> Self:  # noqa: ANN401 - whatever its fields have
        """The item with `known`, and for each other field the object's attribute of its name.

        A number that is not finite is null where the field can be.
        """
        fields = {name: field for name, field in cls.model_fields.items() if field.is_required() and name not in known}
        values = {name: getattr(found, name) for name in fields}
        endless = (n for n, value in values.items() if isinstance(value, float) and not math.isfinite(value))
        unknown = {name: None for name in endless if type(None) in get_args(fields[name].annotation)}
        return cls(**values | unknown | known)


class DocumentModel(Item):
    """A document for other programs. Its schema is published in docs/schemas.

    Each subclass has the fields `document`, its name, and `version`, both literals. A field may be added in the same
    version; the version is raised where one is removed or means something else.
    """


class Grid(NamedTuple):
    """The names of columns, and rows with a value for each; None is missing."""

    columns: Sequence[str]
    rows: Iterable[Sequence[object]]


@dataclass(frozen=True, slots=True)
class PrintableDocument:
    """What a verb has to print, in every format; only the wanted one is made.

    Attributes:
        model: for JSON and YAML.
        grid: for CSV.
        markdown: to paste into a pull request.
        text: prints it on a terminal.
    """

    model: Callable[[], DocumentModel]
    grid: Callable[[], Grid]
    markdown: Callable[[], str]
    text: Callable[[Terminal], None]


def grid_of(item: type[BaseModel], items: Iterable[BaseModel], **same: object) -> Grid:
    """A row for each item, with its fields as columns; `same` are columns before them, alike in every row."""
    names = tuple(item.model_fields)
    return Grid((*same, *names), ((*same.values(), *(getattr(one, name) for name in names)) for one in items))


def aside(wanted: Format) -> Terminal:
    """The terminal for progress and remarks: standard output beside a text for readers, else standard error."""
    if wanted == "text":
        return Terminal()
    # A run must not end because nobody reads its progress.
    stream = CheckedStream(sys.stderr or io.StringIO(), suppress=True, descriptor=2)
    return Terminal(file=stream)  # type: ignore[arg-type, unused-ignore]


def print_document(document: PrintableDocument, wanted: Format) -> None:
    """Print a document on standard output in the wanted format."""
    console = Terminal()
    match wanted:
        case "text":
            document.text(console)
        case "json":
            console.lines(to_json(document.model()))
        case "yaml":
            console.lines(to_yaml(document.model()))
        case "csv":
            console.lines(to_csv(document.grid()))
        case "markdown":
            console.lines(document.markdown().rstrip("\n"))
        case _:
            assert_never(wanted)


def to_json(model: DocumentModel) -> str:
    """A document as JSON."""
    return json.dumps(_content(model), ensure_ascii=False, indent=2, allow_nan=False)


def to_yaml(model: DocumentModel) -> str:
    """A document as YAML, with the same content as its JSON."""
    text: str = yaml.safe_dump(_content(model), sort_keys=False, allow_unicode=True, width=1000)
    return text.rstrip("\n")


def to_csv(grid: Grid) -> str:
    """Lines of values between commas, the names of the columns first; a missing value is empty."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(map(strip_controls, grid.columns))
    writer.writerows([_in_a_cell(value) for value in row] for row in grid.rows)
    return lines.getvalue().rstrip("\n")


def schema(model: type[DocumentModel]) -> dict[str, Any]:
    """The JSON schema of a document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(mode="serialization")


def schema_name(model: type[DocumentModel]) -> str:
    """The name of a document's schema: `plan-1`."""
    fields = model.model_fields
    return f"{fields['document'].default}-{fields['version'].default}"


def plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON has
    """A value in the terms of JSON, its texts without control characters.

    Times are texts in ISO 8601, bytes texts in base 64; what JSON has no number for is the text NaN, Infinity or
    -Infinity.
    """
    return _printable(to_jsonable_python(value, bytes_mode="base64", fallback=str))


def _printable(value: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    match value:
        case str():
            return strip_controls(value)
        case float() if not math.isfinite(value):
            return _NOT_FINITE[str(value)]
        case dict():
            return {strip_controls(name): _printable(item) for name, item in value.items()}
        case list():
            return [_printable(item) for item in value]
        case _:
            return value


def _content(model: DocumentModel) -> Any:  # noqa: ANN401 - whatever JSON has
    return plain(model.model_dump())


def _in_a_cell(value: object) -> object:
    found = plain(value)
    return json.dumps(found, ensure_ascii=False) if isinstance(found, list | dict | bool) else found
