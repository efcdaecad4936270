"""Names of the site's files. Text of others is never part of one unless it is a plain word; else its digest is."""

import hashlib
import re
from pathlib import Path
from typing import Final

TEMPLATES: Final = Path(__file__).parent / "templates"
"""The folder of the templates, the style and the search."""

INDEX: Final = "index.html"
STYLE: Final = "style.css"
SEARCH: Final = "search.js"
SEARCH_INDEX: Final = "search-index.js"

FOLDERS: Final = ("environments", "trends", "labels", "comparisons", "runs")
"""The folders of the pages; copies of reports are in one more."""

_WORD: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_STEM: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}"

PAGE_NAME: Final = (
    rf"({'|'.join(map(re.escape, (INDEX, STYLE, SEARCH, SEARCH_INDEX)))}"
    rf"|({'|'.join(FOLDERS)})/{_STEM}\.html|reports/{_STEM}/report(-interactive)?\.html)"
)
"""A regular expression of all files that a site can have."""


def environment(name: str) -> str:
    """The page of an environment."""
    return f"environments/{_part(name)}.html"


def labels(environment: str) -> str:
    """The page of an environment's labels."""
    return f"labels/{_part(environment)}.html"


def trends(environment: str, method: str) -> str:
    """The page of the nights of one method."""
    return f"trends/{_short_digest(environment, method)}.html"


def comparison(environment: str, before: str, after: str) -> str:
    """The page that compares two labels."""
    return f"comparisons/{_short_digest(environment, before, after)}.html"


def run(run_id: str) -> str:
    """The page of a run, whose id the store has checked: it is part of the names of the store's own files."""
    return f"runs/{run_id}.html"


def report(run_id: str, file: str) -> str:
    """The copy of a run's report."""
    return f"reports/{run_id}/{file}"


def to_root(name: str) -> str:
    """The way from a file of the site to its root: empty, or `../`."""
    return "../" * name.count("/")


def digest(*parts: object) -> str:
    """The digest of what these are as text, in 64 hexadecimal digits."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def _part(text: str) -> str:
    """A plain word as it is; a digest, which begins with a letter that no such word has, of any other text."""
    return text if _WORD.fullmatch(text) else f"_{_short_digest(text)}"


def _short_digest(*texts: str) -> str:
    return digest(*texts)[:20]
