"""Files of JSON that others may have written: read with bounds, and never through a link or from a device."""

import gzip
import os
import re
import stat
import zlib
from pathlib import Path
from typing import Final

from analysis.errors import Problem

_CHUNK_BYTES: Final = 1024 * 1024
_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"')


def read_bounded(path: Path, most_bytes: int, most_values: int | None = None) -> bytes:
    """A file's bytes, unpacked where its name ends in .gz.

    `most_bytes`: it may have, unpacked. `most_values`: it may have: a few bytes each become objects of a hundred times
    that size; None: any number.

    Raises:
        FileNotFoundError: there is none.
        Problem: it is cut short, damaged, too large, or no regular file.
    """
    try:
        data = _unpacked(path, most_bytes)
    except FileNotFoundError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Problem(f"{path.name} is cut short or damaged") from None
    except MemoryError:
        raise Problem(f"{path.name} is too large for this machine's memory") from None
    except OSError as error:
        raise Problem(f"{path.name} can't be read: {error.strerror or error}") from None
    if most_values is not None and _has_more_values(data, most_values):
        raise Problem(f"{path.name} is damaged: it has more than {most_values} values")
    return data


def _unpacked(path: Path, most_bytes: int) -> bytes:
    data = bytearray()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as packed, gzip.open(packed) if path.suffix == ".gz" else packed as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Problem(f"{path.name} is damaged: it is no regular file")
        while chunk := file.read(_CHUNK_BYTES):
            data += chunk
            if len(data) > most_bytes:
                raise Problem(f"{path.name} is damaged: it has more than {most_bytes / 1e6:.0f} MB")
    return bytes(data)


def _has_more_values(data: bytes, most: int) -> bool:
    """By its commas, of which those inside of texts don't count; they are looked for where that may matter only."""
    commas = data.count(b",")
    return commas > most and commas - sum(found[0].count(b",") for found in _TEXT.finditer(data)) > most
