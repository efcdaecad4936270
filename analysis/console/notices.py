"""Sentences on standard error; a failure to write one is ignored."""

import contextlib
import os
import re
import sys
from typing import Final

from analysis.console.sanitizing import strip_controls

_OVERLONG_WORD: Final = re.compile(r"[^ ]{1001,}")
"""A word such as a path of thousands of letters, which is shown by its beginning and its end."""


def print_notice(sentence: str) -> None:
    """Print a sentence on standard error, without control characters, even where its reader has gone."""
    try:
        print(strip_controls(shorten_long_words(sentence)), file=sys.stderr, flush=True)  # noqa: T201 - the one place that does
    except (OSError, ValueError, AttributeError):
        discard_buffered(2)


def discard_buffered(stream: int) -> None:
    """Discard the buffer of a standard stream, which Python would write again at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def shorten_long_words(text: str) -> str:
    """The text with the middle of each overlong word replaced by its number of letters."""
    return _OVERLONG_WORD.sub(lambda word: f"{word[0][:200]}…({len(word[0]) - 400} letters)…{word[0][-200:]}", text)
