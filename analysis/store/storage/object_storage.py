"""The files of a store, in a folder or in an S3 bucket: each is written whole or not at all; errors are sentences."""

import contextlib
import functools
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from analysis import locks
from analysis.errors import DamagedFileError, Unsupported
from analysis.store.storage import atomic, urls
from analysis.store.storage.bucket import Bucket
from analysis.store.storage.folder import Entry, Folder
from analysis.store.storage.owner import acting_owner
from analysis.store.storage.storage_errors import error_reason, single_file_error

if TYPE_CHECKING:
    from pyarrow import fs

T = TypeVar("T")

LOCK_S: Final = 60

LOCK: Final = ".lock"
"""The file in a folder that its writers lock."""

UNREADABLE: Final = "can't be read"
"""Beginning of the reason for a file that may be sound, but not readable by this user or on this machine."""


class ObjectStorage:
    """The files below one root, by paths relative to it, such as `runs/x.parquet`. No link below it is followed.

    Every method raises Unsupported, with a sentence, where a file or folder can't be read, listed, written or deleted.
    """

    def __init__(self, url: "str | urls.StoreUrl") -> None:
        """Parse the address, unless it is parsed already; no file is opened yet.

        Raises:
            BadInput: `urls.parse_url` does not take it.
        """
        self._address = urls.parse_url(url) if isinstance(url, str) else url
        self.url = self._address.shown
        self.local = self._address.local
        self.root = self._address.root
        self._files = Folder(self.root, acting_owner()) if self.local else Bucket(self._address)

    def below(self, name: str) -> "ObjectStorage":
        """The files in a folder of this one, reached as this one is."""
        return ObjectStorage(replace(self._address, shown=self.address(name), root=self.path(name)))

    @property
    def folder(self) -> Folder | None:
        """The folder; None: it is a bucket."""
        return self._files if isinstance(self._files, Folder) else None

    @functools.cached_property
    def filesystem(self) -> "fs.FileSystem":
        """Pyarrow's way to the files. It takes a while to import."""
        return self._files.filesystem if isinstance(self._files, Bucket) else urls.filesystem(self._address)

    def path(self, name: str) -> str:
        """The whole path of a file, as `self.filesystem` and the operating system take it."""
        return f"{self.root}/{name}"

    def address(self, name: str) -> str:
        """The whole path of a file, as users write it."""
        return self.path(name) if self.local else f"s3://{self.path(name)}"

    @contextlib.contextmanager
    def _sentences(self, doing: str, name: str = "") -> Iterator[None]:
        """Turn an OSError into a sentence, such as `can't write PATH: the disk is full; ...`."""
        where = self.address(name) if name else self.address("").rstrip("/")
        try:
            yield
        except OSError as error:
            raise Unsupported(f"can't {doing} {where}: {self._reason(error, name)}") from error

    def _reason(self, error: OSError, name: str) -> str:
        return error_reason(error, self.path(name) if self.local else None)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Exclude other writers of this folder for the block. A bucket has no lock, and some file systems have none."""
        with contextlib.ExitStack() as stack:
            if isinstance(self._files, Folder):
                with self._sentences("write", LOCK), contextlib.suppress(locks.NoLocksError):
                    descriptor = stack.enter_context(self._files.open_file(LOCK, os.O_RDWR | os.O_CREAT))
                    if not locks.lock(descriptor, LOCK_S):
                        raise Unsupported(
                            f"can't write {self.root}: another process has been writing it for {LOCK_S} s"
                        )
            yield

    @contextlib.contextmanager
    def no_writer(self) -> Iterator[bool]:
        """Exclude writers of this folder for the block; yields False where one is at work, and in a bucket."""
        with contextlib.ExitStack() as stack:
            yield isinstance(self._files, Folder) and _try_shared_lock(self._files, stack)

    def put(self, name: str, content: bytes) -> None:
        """Write a file so that a reader, or a kill at any moment, finds all of it or what was there before."""
        with self._sentences("write", name), self._files.replacing(name, durable=True) as stream:
            stream.write(content)

    def put_file(self, name: str, source: Path) -> None:
        """Write a copy of a file of this machine, whole or not at all."""
        with self._sentences("write", name), source.open("rb") as incoming, self._files.replacing(name) as out:
            shutil.copyfileobj(incoming, out)

    def read(self, name: str, most_bytes: int | None = None) -> bytes:
        """The content of a file; refused if it is larger than `most_bytes`. Errors as of `reading`."""

        def whole(stream: BinaryIO) -> bytes:
            if most_bytes is not None and (size := stream.seek(0, os.SEEK_END)) > most_bytes:
                raise DamagedFileError(self.address(name), f"has {size:,} bytes, more than {most_bytes:,}")
            stream.seek(0)
            return stream.read()

        return self.reading(name, whole)

    def reading(self, name: str, use: Callable[[BinaryIO], T]) -> T:
        """The result of a function of an open file.

        Raises:
            FileNotFoundError: it is not there.
            DamagedFileError: this file can't be read while others can.
        """
        try:
            with self._files.reading(name) as stream:
                return use(stream)
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.local and (why := single_file_error(error, self.path(name))):
                raise DamagedFileError(self.address(name), f"{UNREADABLE}: {why}") from error
            raise Unsupported(f"can't read {self.address(name)}: {self._reason(error, name)}") from error

    def list(self, folder: str) -> list[Entry]:
        """The files of a folder whose names don't begin with a dot, by name; none where there is no such folder."""
        with self._sentences("read", folder):
            found = self._files.entries(folder)
        files = (one for one in found if one.is_file and not one.name.startswith("."))
        return sorted(files, key=lambda file: file.name)

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder; none where there is no such folder."""
        with self._sentences("read", folder):
            return tuple(sorted(one.name for one in self._files.entries(folder) if not one.is_file))

    def tree(self, folder: str) -> tuple[Entry, ...]:
        """The files in a folder and below it, by their paths below it; none where there is no such folder."""
        with self._sentences("read", folder):
            return tuple(one for one in self._files.entries(folder, recursive=True) if one.is_file)

    def last_put(self, folder: str) -> datetime | None:
        """When anything was last written in a folder, or below it; None where there is nothing."""
        times = [one.modified_s for one in self.tree(folder)]
        return datetime.fromtimestamp(max(times), UTC) if times else None

    def fetch(self, name: str, destination: Path, most_bytes: int) -> bool:
        """Copy a file, or a folder with all below it, to this machine, unless it is larger than this.

        Returns:
            Whether there is a file or a folder of this name.
        """
        with self._sentences("read", name):
            return self._files.fetch(name, destination, most_bytes)

    def delete(self, name: str) -> None:
        """Delete a file; it may be gone already."""
        with self._sentences("delete", name), contextlib.suppress(FileNotFoundError):
            self._files.delete(name)

    def delete_with_folder(self, name: str) -> None:
        """Delete a file, and its folder if that is empty then."""
        self.delete(name)
        folder = name.rpartition("/")[0]
        if isinstance(self._files, Folder) and folder:
            with contextlib.suppress(OSError):  # it has other files
                self._files.delete_folder(folder)

    def sweep_temporary(self, folder: str, older_than_s: float) -> None:
        """Delete what killed writers left half written. An S3 service does this by itself."""
        if not self.local:
            return
        with self._sentences("read", folder):
            found = self._files.entries(folder)
        for one in found:
            is_temporary = one.is_file and one.name.startswith(".") and one.name.endswith(atomic.TEMPORARY)
            if is_temporary and time.time() - one.modified_s > older_than_s:
                self.delete(f"{folder}/{one.name}")

    def is_there(self, name: str) -> bool:
        """Whether there is a file or folder of this name; False also where that can't be read."""
        try:
            return self._files.exists(name)
        except OSError:
            return False

    def check_there(self) -> None:
        """Check that the root is no file, and that the bucket is there."""
        if isinstance(self._files, Bucket):
            with self._sentences("reach"):
                if not self._files.bucket_exists():
                    bucket = self.root.partition("/")[0]
                    raise Unsupported(
                        f"can't reach {self.address('')}: there is no bucket {bucket!r}; create it, or correct RESULTS"
                    )
            return
        with self._sentences("read"), contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.stat(self.root).st_mode):  # noqa: PTH116 - pathlib hides some errors
                raise Unsupported(f"can't read {self.root}: it is a file, not a folder; correct RESULTS")

    def check_writable(self, *, dry: bool = False) -> None:
        """Check now, rather than after an hour of measuring, that files can be written and deleted.

        `dry`: change nothing; of a bucket that shows only that it is there.
        """
        if not dry:
            name = f".writable-{secrets.token_hex(8)}"
            self.put(name, b"x")
            self.delete(name)
        elif self.folder is None:
            self.check_there()
        else:
            with self._sentences("write"):
                self.folder.check_writable()


def _try_shared_lock(files: Folder, stack: contextlib.ExitStack) -> bool:
    try:
        return locks.try_lock(stack.enter_context(files.open_file(LOCK)), shared=True)
    except FileNotFoundError:
        return True  # no writer is without it
    except OSError:
        return False
