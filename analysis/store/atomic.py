"""Files that are written whole or not at all: each is written beside its place first, and then renamed into it."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

TEMPORARY: Final = ".tmp"
"""How the name of a file ends that is still being written, or whose writer was killed. It begins with a dot."""


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A stream whose content takes the place of a file at the end of the block; an error in it leaves what was there.

    Args:
        path: the file; folders that are missing are made.
        durable: whether it must be on disk afterwards, so that it outlasts a loss of power and not only a kill.

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
    """Bring a rename to disk, which it is only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
