"""Text of a cluster, of a file or of another program, fit to be part of a sentence."""

from typing import Final

from analysis.console.sanitizing import strip_controls

_LONGEST: Final = 300


def excerpt(text: object, longest: int = _LONGEST) -> str:
    """The text in one line of at most so many characters, without control characters."""
    line = " ".join(strip_controls(str(text)[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
