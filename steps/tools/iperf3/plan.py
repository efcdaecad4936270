"""Whether a document of iperf3 is of the requested test. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from steps.tools.iperf3.document import TestStart
from steps.tools.tool import Task

_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_THREADS: Final = (3, 16)
"""The first version with a thread for each stream, which changed how a test of so many bytes ends."""


def stream_bps(task: Task) -> int:
    """The pace of each stream, as iperf3 counts it: 0 is unlimited, where UDP without -b would send 1 Mbit/s."""
    return 0 if task.offered_bps is None else round(task.offered_bps / task.streams)


def size_bytes(argv: Sequence[str]) -> int:
    """The number of bytes after which iperf3 ends by its arguments; 0: none."""
    return number_after("-n", argv) or 0


def ends_with_its_bytes(version: str | None) -> bool:
    """Whether this version ends a test with the last of its bytes, as it did before 3.16."""
    match = _VERSION.search(version or "")
    return match is not None and (int(match[1]), int(match[2])) < _THREADS


def number_after(flag: str, argv: Sequence[str]) -> int | None:
    """The whole number after an argument; None: there is none."""
    if flag not in argv[:-1]:
        return None
    text = argv[argv.index(flag) + 1]
    return int(text) if _NUMBER.fullmatch(text) else None


def contradiction(start: TestStart | None, task: Task, argv: Sequence[str]) -> str | None:
    """The differences between the document's test and the requested one, as a sentence; None: there are none.

    `start`: the test, as the document describes it. `argv`: as iperf3 was run.
    """
    if start is None or start.protocol is None or start.num_streams is None or start.duration is None:
        return "iperf3's JSON does not describe its test"
    block_bytes = number_after("-l", argv)
    pairs: list[tuple[str, object, object]] = [
        ("protocol", start.protocol.lower(), task.transport),
        ("streams", start.num_streams, task.streams),
        ("duration", f"{start.duration} s", f"{task.duration_s} s"),
        ("omitted", f"{start.omit or 0} s", f"{task.omit_s} s"),
        ("reverse", bool(start.reverse), task.direction == "reverse"),
        ("both directions at once", bool(start.bidir), False),
        ("an end after", f"{start.bytes or 0} bytes", f"{size_bytes(argv)} bytes"),
        ("an end after", f"{start.blocks or 0} blocks", "0 blocks"),
    ]
    if block_bytes is not None and start.blksize is not None:
        pairs.append(("block size", f"{start.blksize} B", f"{block_bytes} B"))
    if start.target_bitrate is not None:
        pairs.append(("rate", f"{start.target_bitrate} bit/s", f"{stream_bps(task)} bit/s"))
    others = [
        f"{what} {_text(reported)}, not {_text(wanted)}" for what, reported, wanted in pairs if reported != wanted
    ]
    return f"iperf3's JSON is of another test than was requested: {'; '.join(others)}" if others else None


def _text(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else repr(str(value)[:40])[1:-1]
