"""Sentences on standard error, beside what a program answers: that one can't be written stops nothing."""

import contextlib
import os
import sys
from typing import Final

from analysis.console.sanitizing import strip_controls

LONGEST_WORD: Final = 1000
"""A longer word, such as a path of thousands of letters, is shown by its beginning and its end."""


def print_notice(sentence: str) -> None:
    """Print a sentence on standard error, without what a terminal would obey.

    Whoever read it may have gone, as `head` does after `2>&1`; the work that it is about goes on all the same.
    """
    try:
        print(strip_controls(shorten_long_words(sentence)), file=sys.stderr, flush=True)  # noqa: T201 - the one place that does
    except (OSError, ValueError, AttributeError):
        discard_buffered(2)


def discard_buffered(stream: int) -> None:
    """What is still in the buffer of a standard stream goes nowhere, else Python would try again at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def shorten_long_words(text: str) -> str:
    """The text with the middle of each overlong word left out, by how many letters it is."""
    if len(text) <= LONGEST_WORD:
        return text
    return " ".join(_shown(word) for word in text.split(" "))


def _shown(word: str) -> str:
    if len(word) <= LONGEST_WORD:
        return word
    beginning, end = word[:200], word[-200:]
    return f"{beginning}…({len(word) - 400} letters)…{end}"
