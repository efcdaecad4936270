"""The objects below a prefix of an S3 bucket, by their names relative to it, with the methods of `folder.Folder`."""

import contextlib
import itertools
import posixpath
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final, cast

from analysis.store.storage import urls
from analysis.store.storage.copying import MOST_FILES, Allowance, TooLargeError
from analysis.store.storage.folder import Entry, check_parts

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
}

READERS: Final = 16
"""Objects read at once, since each costs a round trip."""


class Bucket:
    """A prefix of a bucket. Every method raises OSError where the service refuses or can't be reached."""

    def __init__(self, address: urls.StoreUrl) -> None:
        """Make pyarrow's client; nothing is sent yet.

        Raises:
            BadInput: pyarrow does not take the address.
        """
        self.root = address.root
        self.filesystem = urls.filesystem(address)

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """The content of an object."""
        with self.filesystem.open_input_file(f"{self.root}/{name}") as stream:
            yield cast("BinaryIO", stream)

    @contextlib.contextmanager
    def replacing(self, name: str, *, durable: bool = False) -> Iterator[BinaryIO]:  # noqa: ARG002 - it always is
        """A stream whose content becomes an object at the end of the block, as it is, even if its name ends in .gz.

        Where the block fails there is no object: pyarrow stores what was written in any case, and that is deleted.
        Its type is that of its name: a browser would save a page of another type instead of showing it.
        """
        kind = {"Content-Type": _TYPES.get(posixpath.splitext(name)[1], "application/octet-stream")}
        path = f"{self.root}/{name}"
        stream = self.filesystem.open_output_stream(path, compression=None, metadata=kind)
        try:
            yield cast("BinaryIO", stream)
        except BaseException:
            with contextlib.suppress(OSError):
                stream.close()
            with contextlib.suppress(OSError):
                self.delete(name)
            raise
        stream.close()

    def entries(self, name: str, *, recursive: bool = False) -> list[Entry]:
        """The objects and prefixes below a prefix; with `recursive` at any depth."""
        from pyarrow import fs  # noqa: PLC0415 - see `urls.filesystem`

        path = f"{self.root}/{name}".rstrip("/")
        found = self.filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=recursive))
        return [
            Entry(posixpath.relpath(info.path, path), info.is_file, info.mtime.timestamp() if info.mtime else 0.0)
            for info in found
        ]

    def exists(self, name: str) -> bool:
        """Whether there is an object or a prefix of this name."""
        return self._is_there(f"{self.root}/{name}")

    def bucket_exists(self) -> bool:
        """Whether the bucket is there: listing a missing one looks like an empty one."""
        return self._is_there(self.root.partition("/")[0])

    def _is_there(self, path: str) -> bool:
        from pyarrow import fs  # noqa: PLC0415 - see `urls.filesystem`

        return bool(self.filesystem.get_file_info(path).type != fs.FileType.NotFound)

    def delete(self, name: str) -> None:
        """Delete an object."""
        self.filesystem.delete_file(f"{self.root}/{name}")

    def fetch(self, name: str, destination: Path, most_bytes: int) -> bool:
        """Copy an object, or all below a prefix; returns whether there is one of this name.

        Raises:
            TooLargeError: there is more of it than that.
        """
        if not self.exists(name):
            return False
        copies = {
            f"{name}/{one.name}": destination / one.name for one in self.entries(name, recursive=True) if one.is_file
        }
        if len(copies) > MOST_FILES:
            raise TooLargeError(MOST_FILES, "files")
        for copied in copies:
            check_parts(copied.split("/"))  # a key may have any parts, such as `..`
        allowance = Allowance(most_bytes)
        with ThreadPoolExecutor(READERS) as pool:
            # once one fails, those that have not begun are cancelled
            found = copies or {name: destination}
            list(pool.map(self._copy, found.keys(), found.values(), itertools.repeat(allowance)))
        return True

    def _copy(self, name: str, destination: Path, allowance: Allowance) -> None:
        with self.reading(name) as incoming:
            allowance.copy(incoming, destination)
