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
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content replaces a file at the end of the block; after an error the file is as it was.

    Missing folders are made. It outlasts a kill, and not a loss of power.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with replacing_in(folder, path.name) as stream:
            yield stream
    finally:
        os.close(folder)


@contextlib.contextmanager
def replacing_in(folder: int, name: str, *, durable: bool = False) -> Iterator[BinaryIO]:
    """As `replacing`, for a file of this name in an open folder. A symbolic link of this name is itself replaced.

    `durable`: it outlasts a loss of power, too.
    """
    temporary = f".{name[:100]}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o666, dir_fd=folder), "wb") as stream:  # noqa: PTH123 - a descriptor
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    if durable:
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, as `replacing` does."""
    with replacing(path) as stream:
        stream.write(content)
