"""Whether a document of iperf3 is of the test that was asked for. Pure."""

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from steps.tools.iperf3_document import TestStart

_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_THREADS: Final = (3, 16)
"""The first version with a thread for each stream, which changed how a test of so many bytes ends."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A test as asked for. `stream_bps`: the pace of each UDP stream, 0 for none; None: not known.

    `size_bytes`: after how many bytes it was to end, and 0 where it was to end after `duration_s`.
    """

    protocol: Literal["tcp", "udp"]
    reverse: bool = False
    streams: int = 1
    duration_s: int
    omit_s: int = 0
    block_size_bytes: int | None = None
    stream_bps: int | None = None
    size_bytes: int = 0


def block_size_bytes(argv: Sequence[str]) -> int | None:
    """The block size in iperf3's arguments; None where it was left to iperf3."""
    return _number_after("-l", argv)


def size_bytes(argv: Sequence[str]) -> int:
    """After how many bytes iperf3's arguments let it end; 0 where they don't."""
    return _number_after("-n", argv) or 0


def ends_with_its_bytes(version: str | None) -> bool:
    """Whether this version ends a test of so many bytes with the last of them, as it did before 3.16."""
    match = _VERSION.search(version or "")
    return match is not None and (int(match[1]), int(match[2])) < _THREADS


def _number_after(flag: str, argv: Sequence[str]) -> int | None:
    if flag not in argv[:-1]:
        return None
    text = argv[argv.index(flag) + 1]
    return int(text) if _NUMBER.fullmatch(text) else None


def contradiction(start: TestStart | None, asked: Asked) -> str | None:
    """What the document says of its test that was not asked for, as a sentence; None where all agrees."""
    if start is None or start.protocol is None or start.num_streams is None or start.duration is None:
        return "iperf3's JSON does not say what test it is of"
    pairs: list[tuple[str, object, object]] = [
        ("protocol", start.protocol.lower(), asked.protocol),
        ("streams", start.num_streams, asked.streams),
        ("duration", f"{start.duration} s", f"{asked.duration_s} s"),
        ("omitted", f"{start.omit or 0} s", f"{asked.omit_s} s"),
        ("reverse", bool(start.reverse), asked.reverse),
        ("both directions at once", bool(start.bidir), False),
        ("an end after", f"{start.bytes or 0} bytes", f"{asked.size_bytes} bytes"),
        ("an end after", f"{start.blocks or 0} blocks", "0 blocks"),
    ]
    if asked.block_size_bytes is not None and start.blksize is not None:
        pairs.append(("block size", f"{start.blksize} B", f"{asked.block_size_bytes} B"))
    stream_bps = 0 if asked.protocol == "tcp" else asked.stream_bps  # no TCP test is asked for a pace
    if stream_bps is not None and start.target_bitrate is not None:
        pairs.append(("rate", f"{start.target_bitrate} bit/s", f"{stream_bps} bit/s"))
    others = [
        f"{what} {_text(reported)}, not {_text(wanted)}" for what, reported, wanted in pairs if reported != wanted
    ]
    return f"iperf3's JSON is of another test than was asked for: {'; '.join(others)}" if others else None


def _text(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else repr(str(value)[:40])[1:-1]
