"""Removes control characters from text. Imports the standard library alone, since every step uses it."""

import re
import sys
from typing import Any, Final, TextIO

_SEQUENCES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, the cursor
    # OSC, DCS and their like; of one without an end the text is shown, since it would swallow what follows
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])(?:[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c))?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS: Final = re.compile(
    # C0 except tab and line feed, DEL, C1, bidirectional marks, invisible characters.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_LINES: Final = re.compile("[\u2028\u2029]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def strip_controls(text: str) -> str:
    """The text without escape sequences, control characters and bidirectional marks.

    Tabs and line feeds stay. Bytes of a path that are not UTF-8 become replacement characters.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _SURROGATES.sub("\ufffd", _LINES.sub(" ", text))
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))


class SanitizedStream:
    """A standard stream that is written without control characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text without control characters."""
        self._stream.write(strip_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the stream's own
        return getattr(self._stream, name)


def sanitize_standard_error() -> None:
    """Remove control characters from all that this program writes to standard error.

    Tracebacks, warnings and the log records of libraries quote text of others, and are printed by Python itself.
    """
    if sys.stderr is not None and not isinstance(sys.stderr, SanitizedStream):
        sys.stderr = SanitizedStream(sys.stderr)  # type: ignore[assignment, unused-ignore]
