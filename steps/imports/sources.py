"""The files to import: found in folders without following links, and read within bounds."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.addresses import open_home
from analysis.errors import BadInput, Problem
from steps.bounded_files import read_bounded

MOST_FILES: Final = 50_000
MOST_BYTES: Final = 64 * 2**20
"""Of a file. A test of an hour with 128 streams, reported each second, has some 150 MB and is refused."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file, and its path below what was given, by which it is named and placed; with slashes."""

    path: Path
    name: str

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            Problem: it can't be read, is no regular file, or is too large.
        """
        try:
            return read_bounded(self.path, MOST_BYTES)
        except FileNotFoundError:
            raise Problem(f"{self.name} is gone") from None


def find(given: str) -> list[SourceFile]:
    """The files of a list of files and folders, separated by commas; of folders in the order of their names.

    Raises:
        BadInput: nothing is given, a home is nobody's, something is not there, or there are too many files.
    """
    roots = [Path(open_home(part, "FILES")) for part in given.split(",") if part.strip()]
    if not roots:
        raise BadInput("nothing to import was given: name a file or a folder, as in FILES=results")
    found: dict[Path, SourceFile] = {}
    for root in roots:
        if not os.path.lexists(root):
            raise BadInput(f"{root} is not there, so nothing of it can be imported")
        for source in _below(root):
            found.setdefault(source.path, source)
            if len(found) > MOST_FILES:
                raise BadInput(f"{given} has more than {MOST_FILES:,} files: import a part of it")
    return list(found.values())


def _below(root: Path) -> Iterator[SourceFile]:
    if not root.is_dir():
        yield SourceFile(root, _text(root.name))
        return
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            yield SourceFile(path, _text(path.relative_to(root).as_posix()))


def _text(name: str) -> str:
    """A file's name as text that can be stored: a byte that is no UTF-8 as its number in hexadecimal digits."""
    return os.fsencode(name).decode(errors="backslashreplace")
