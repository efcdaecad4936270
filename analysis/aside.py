"""Sentences on standard error, beside what a program answers: that one can't be written stops nothing."""

import contextlib
import os
import sys
from typing import Final

from analysis.cleaning import clean

LONGEST_WORD: Final = 1000
"""A longer word, such as a path of thousands of letters, is shown by its beginning and its end."""


def say_aside(sentence: str) -> None:
    """Print a sentence on standard error, without what a terminal would obey.

    Whoever read it may have gone, as `head` does after `2>&1`; the work that it is about goes on all the same.
    """
    try:
        print(clean(shorten(sentence)), file=sys.stderr, flush=True)  # noqa: T201 - the one place that does
    except (OSError, ValueError, AttributeError):
        give_up(2)


def give_up(stream: int) -> None:
    """What is still in the buffer of a standard stream goes nowhere, else Python would try again at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def shorten(text: str) -> str:
    """The text with the middle of each overlong word left out, by how many letters it is."""
    if len(text) <= LONGEST_WORD:
        return text
    return " ".join(_shown(word) for word in text.split(" "))


def _shown(word: str) -> str:
    if len(word) <= LONGEST_WORD:
        return word
    beginning, end = word[:200], word[-200:]
    return f"{beginning}…({len(word) - 400} letters)…{end}"
