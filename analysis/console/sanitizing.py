"""Removes control characters from text. Imports nothing else, since every step uses it."""

import re
from typing import Final

_SEQUENCES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, the cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS and their like
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS: Final = re.compile(
    # C0 except tab and line feed, DEL, C1, bidirectional marks, invisible characters.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
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
