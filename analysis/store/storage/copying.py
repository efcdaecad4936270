"""Copies out of a store, of no more than is permitted."""

import errno
import os
import threading
from pathlib import Path
from typing import BinaryIO, Final

_CHUNK_BYTES: Final = 1024 * 1024
MOST_FILES: Final = 200_000
"""Below one folder; more would fill the memory of a process that lists them."""


class TooLargeError(OSError):
    """What is to be copied has more bytes or files than is permitted."""

    def __init__(self, most: int, unit: str) -> None:
        super().__init__(errno.EFBIG, f"it has more than {most:,} {unit}")


class Allowance:
    """How much may be copied by one call, by all of its threads together."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = self._left_bytes = most_bytes
        self._lock = threading.Lock()

    def copy(self, incoming: BinaryIO, destination: Path) -> None:
        """Write the content of a stream to a file of this machine, with missing folders.

        Raises:
            TooLargeError: it has more than is left, by its size or because it grows.
        """
        destination.parent.mkdir(parents=True, exist_ok=True)
        with destination.open("wb") as out:
            self._require(incoming.seek(0, os.SEEK_END))
            incoming.seek(0)
            while chunk := incoming.read(_CHUNK_BYTES):
                with self._lock:
                    self._require(len(chunk))
                    self._left_bytes -= len(chunk)
                out.write(chunk)

    def _require(self, size_bytes: int) -> None:
        if size_bytes > self._left_bytes:
            raise TooLargeError(self._most_bytes, "bytes")
