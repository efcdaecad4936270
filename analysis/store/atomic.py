"""Atomic writes: a file is written under a temporary name in its folder, and then renamed."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

TEMPORARY: Final = ".tmp"
"""Suffix of a file that is being written, or whose writer was killed. Its name begins with a dot."""


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A stream whose content replaces a file at the end of the block; after an error the file is as it was.

    Args:
        path: the file; missing folders are made.
        durable: whether it must outlast a loss of power, and not only a kill.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY}"
    try:
        with temporary.open("xb") as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def write(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file whole or not at all; arguments and errors as of `replacing`."""
    with replacing(path, durable=durable) as stream:
        stream.write(content)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
