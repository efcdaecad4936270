"""The files below a folder that any process opens, as the kernel reports them (inotify(7))."""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_IN_OPEN: Final = 0x20
_IN_ISDIR: Final = 0x40000000
_EVENT: Final = struct.Struct("iIII")
_BUFFER_BYTES: Final = 2**22


@contextlib.contextmanager
def watched(folders: list[Path]) -> Iterator[set[Path]]:
    """A set that has, after the block, the files of these folders that were opened during it.

    Raises:
        OSError: the kernel can't watch one.
    """
    opened: set[Path] = set()
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        places = {}
        for folder in folders:
            watch = libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_OPEN)
            if watch < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
            places[watch] = folder
        yield opened
        with contextlib.suppress(BlockingIOError):  # no more events
            while events := os.read(descriptor, _BUFFER_BYTES):
                opened |= {places[watch] / name for watch, name in _files(events)}
    finally:
        os.close(descriptor)


def _files(events: bytes) -> Iterator[tuple[int, str]]:
    at = 0
    while at < len(events):
        watch, mask, _, length = _EVENT.unpack_from(events, at)
        name = events[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
        if name and not mask & _IN_ISDIR:
            yield watch, os.fsdecode(name)
        at += _EVENT.size + length
