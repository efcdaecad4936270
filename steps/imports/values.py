"""Values of other tools' files: numbers and texts that may be missing, odd or hostile, within bounds. Pure."""

import math
import re
import unicodedata
from datetime import UTC, datetime
from typing import Final

from steps.tools import bounds

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_SLUG: Final = re.compile(r"[^a-z0-9.]+")

SHOWN: Final = 120
"""Characters of a file's text in a row or a sentence."""


def number(value: object, most: float) -> float | None:
    """A number from 0 to `most`, also where it is written as text; None for anything else, such as `-nan`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and 0 <= found <= most else None


def first_line(value: object) -> str:
    """The first line of a text, for a row or a sentence; empty for anything else."""
    return bounds.one_line(value, SHOWN) if isinstance(value, str) else ""


def instant(value: str) -> datetime | None:
    """A time of day; UTC where it names no zone. None: it is none, or far from the present."""
    try:
        found = datetime.fromisoformat(value.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if _EARLIEST <= found < _LATEST else None


def slug(value: str) -> str:
    """A text as a name: small letters without accents, digits, dots and dashes; empty where nothing of it is left."""
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", value) if not unicodedata.combining(letter))
    return _SLUG.sub("-", letters.lower()).strip("-.")[:63].strip("-.")
