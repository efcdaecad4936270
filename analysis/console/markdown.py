"""Markdown: text that stays text, and tables."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#~])")
_FENCES: Final = re.compile("`+")


def escape(text: str) -> str:
    """The text in one line, with all that Markdown and HTML would read as more than text escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def row(cells: Iterable[str]) -> str:
    """A line of a table; the cells are Markdown."""
    return f"| {' | '.join(cells)} |"


def table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; headings and cells are Markdown."""
    return "\n".join(map(row, (columns, ["---"] * len(columns), *rows)))


def link(title: str, address: str) -> str:
    """A link to a web page; any other address, to which no page can link, as code."""
    if address.startswith(("https://", "http://")):
        return f"[{escape(title)}](<{address}>)"
    return f"{escape(title)}: {code(address)}"


def code(text: str) -> str:
    """Text as code, in one line."""
    fence = "`" * (1 + max(map(len, _FENCES.findall(text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"
