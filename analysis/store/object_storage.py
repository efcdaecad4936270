"""The files of a store, in a folder or in an S3 bucket: each is put whole or not at all; trouble is a sentence."""

import contextlib
import functools
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from analysis import locks
from analysis.errors import DamagedFileError, Unsupported
from analysis.store import atomic, urls
from analysis.store.storage_errors import check_regular, error_reason, single_file_error

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import fs

T = TypeVar("T")

LOCK_S: Final = 60

LOCK: Final = ".lock"
"""The file in a folder that its writers lock."""

UNREADABLE: Final = "can't be read"
"""How what is wrong with a file begins that may well be in order, but not for this user or on this machine."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a folder of the store: its name in that folder, and when it was last put, in seconds of the epoch."""

    name: str
    modified_s: float


class ObjectStorage:
    """The files below one root, named by paths relative to it, such as `runs/x.parquet`."""

    def __init__(self, url: str) -> None:
        """Understand the address; nothing is touched yet.

        Args:
            url: a path, `file://...`, or `s3://bucket/prefix`, whose query may hold what pyarrow takes
                (`endpoint_override`, `scheme`, `region`).

        Raises:
            BadInput: it is none of these.
        """
        self._address = urls.parse_url(url)
        self.url = self._address.shown
        self.local = self._address.local
        self.root = self._address.root
        if not self.local:
            _ = self.filesystem  # so that what pyarrow does not take is refused now

    @functools.cached_property
    def filesystem(self) -> "fs.FileSystem":
        """What reads and lists the files. It is pyarrow's, which takes a while to import."""
        return urls.filesystem(self._address)

    def path(self, name: str) -> str:
        """The whole path of a file, as `self.filesystem` and the operating system take it."""
        return f"{self.root}/{name}"

    def address(self, name: str) -> str:
        """The whole path of a file, as a person would write it."""
        return self.path(name) if self.local else f"s3://{self.path(name)}"

    @contextlib.contextmanager
    def speaking(self, doing: str, name: str = "") -> Iterator[None]:
        """Turn trouble with files into a sentence, such as `can't write PATH: the disk is full; ...`."""
        where = self.address(name) if name else self.address("").rstrip("/")
        try:
            yield
        except OSError as error:
            raise Unsupported(f"can't {doing} {where}: {self._reason(error, name)}") from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other writers of this folder out meanwhile. A bucket has no lock, and some file systems have none.

        Raises:
            Unsupported: another writer does not end.
        """
        if not self.local:
            yield
            return
        with contextlib.ExitStack() as stack:
            with self.speaking("write", LOCK), contextlib.suppress(locks.NoLocksError):
                Path(self.root).mkdir(parents=True, exist_ok=True)
                descriptor = stack.enter_context(locks.open_file(self.path(LOCK), os.O_RDWR | os.O_CREAT))
                if not locks.lock(descriptor, LOCK_S):
                    raise Unsupported(f"can't write {self.root}: another process has been writing it for {LOCK_S} s")
            yield

    def put(self, name: str, content: bytes) -> None:
        """Write a file so that a reader, or a kill at any moment, finds all of it or what was there before.

        Raises:
            Unsupported: it can't be written.
        """
        with self.speaking("write", name):
            if self.local:
                atomic.write(Path(self.path(name)), content, durable=True)
            else:
                with self.filesystem.open_output_stream(self.path(name), compression=None) as stream:
                    stream.write(content)

    def put_file(self, name: str, source: Path) -> None:
        """Write a copy of a file of this machine, whole or not at all as `put` does.

        A bucket gets the file as it is: left to itself, pyarrow would compress again what is called .gz.

        Raises:
            Unsupported: it can't be read or written.
        """
        with self.speaking("write", name), source.open("rb") as incoming:
            if self.local:
                with atomic.replacing(Path(self.path(name))) as out:
                    shutil.copyfileobj(incoming, out)
            else:
                with self.filesystem.open_output_stream(self.path(name), compression=None) as stream:
                    shutil.copyfileobj(incoming, stream)

    def read(self, name: str, most_bytes: int | None = None) -> bytes:
        """The content of a file.

        Args:
            name: the file.
            most_bytes: refuse it if it is larger.

        Raises:
            FileNotFoundError: it is not there.
            DamagedFileError: this file can't be read, or is larger, while others can.
            Unsupported: the store can't be read.
        """

        def whole(stream: "pa.NativeFile") -> bytes:
            if most_bytes is not None and stream.size() > most_bytes:
                raise DamagedFileError(self.address(name), f"has {stream.size():,} bytes, which is far too many")
            return bytes(stream.read())

        return self.reading(name, whole)

    def reading(self, name: str, use: Callable[["pa.NativeFile"], T]) -> T:
        """What comes of using an open file.

        Args:
            name: the file.
            use: reads from it.

        Raises:
            FileNotFoundError: it is not there.
            DamagedFileError: this file can't be read while others can.
            Unsupported: the store can't be read.
        """
        try:
            if self.local:
                check_regular(self.path(name))
            with self.filesystem.open_input_file(self.path(name)) as stream:
                return use(stream)
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.local and (why := single_file_error(error, self.path(name))):
                raise DamagedFileError(self.address(name), f"{UNREADABLE}: {why}") from error
            raise Unsupported(f"can't read {self.address(name)}: {self._reason(error, name)}") from error

    def _reason(self, error: OSError, name: str) -> str:
        return error_reason(error, self.path(name) if self.local else None)

    def list(self, folder: str) -> list[ListedFile]:
        """The files of a folder whose names don't begin with a dot, by name; none where there is no such folder.

        Raises:
            Unsupported: it can't be listed.
        """
        return sorted(
            (
                ListedFile(info.base_name, info.mtime.timestamp())
                for info in self._infos(folder)
                if info.is_file and not info.base_name.startswith(".")
            ),
            key=lambda file: file.name,
        )

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder; none where there is no such folder.

        Raises:
            Unsupported: it can't be listed.
        """
        return tuple(sorted(info.base_name for info in self._infos(folder) if not info.is_file))

    def last_put(self, folder: str) -> datetime | None:
        """When anything was last put into a folder, or below it; None where there is nothing.

        Raises:
            Unsupported: it can't be listed.
        """
        return max((info.mtime for info in self._infos(folder, recursive=True) if info.is_file), default=None)

    def _infos(self, folder: str, *, recursive: bool = False) -> "tuple[fs.FileInfo, ...]":
        from pyarrow import fs  # noqa: PLC0415 - see `filesystem`

        with self.speaking("read", folder):
            selector = fs.FileSelector(self.path(folder), allow_not_found=True, recursive=recursive)
            return tuple(self.filesystem.get_file_info(selector))

    def fetch(self, name: str, destination: Path) -> bool:
        """Copy a file, or a folder with all below it, to this machine.

        Args:
            name: of the file or folder.
            destination: the path of the copy.

        Returns:
            Whether there is a file or a folder of this name.

        Raises:
            Unsupported: it can't be read, or not be written there.
        """
        with self.speaking("read", name):
            if self.local:
                return _copy(Path(self.path(name)), destination)
            if not self._exists(self.path(name)):
                return False
            from pyarrow import fs  # noqa: PLC0415 - see `filesystem`

            destination.parent.mkdir(parents=True, exist_ok=True)
            fs.copy_files(
                self.path(name),
                str(destination),
                source_filesystem=self.filesystem,
                destination_filesystem=fs.LocalFileSystem(),
            )
        return True

    def delete(self, name: str) -> None:
        """Take a file away; it may be gone already.

        Raises:
            Unsupported: it can't be deleted.
        """
        with self.speaking("delete", name), contextlib.suppress(FileNotFoundError):
            if self.local:
                Path(self.path(name)).unlink()
            else:
                self.filesystem.delete_file(self.path(name))

    def sweep_temporary(self, folder: str, older_than_s: float) -> None:
        """Take away what killed writers left half written. An S3 service does this by itself.

        Raises:
            Unsupported: one can't be deleted.
        """
        if not self.local:
            return
        for path in Path(self.path(folder)).glob(f".*{atomic.TEMPORARY}"):
            with self.speaking("delete", f"{folder}/{path.name}"), contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > older_than_s:
                    path.unlink()

    def is_there(self, name: str) -> bool:
        """Whether there is a file or folder of this name, as far as can be seen."""
        try:
            return self._exists(self.path(name))
        except OSError:
            return False

    def _exists(self, path: str) -> bool:
        from pyarrow import fs  # noqa: PLC0415 - see `filesystem`

        return bool(self.filesystem.get_file_info(path).type != fs.FileType.NotFound)

    @contextlib.contextmanager
    def nobody_writes(self) -> Iterator[bool]:
        """Keep writers of this folder out for a moment, if none is at work; says whether so. In a bucket: False."""
        with contextlib.ExitStack() as stack:
            yield self.local and self._locked_at_once(stack)

    def _locked_at_once(self, stack: contextlib.ExitStack) -> bool:
        try:
            descriptor = stack.enter_context(locks.open_file(self.path(LOCK), os.O_RDONLY))
            return locks.try_lock(descriptor, shared=True)
        except FileNotFoundError:
            return True  # no writer is without it
        except OSError:
            return False

    def check_there(self) -> None:
        """See that a bucket is there: listing one that is not looks like an empty one.

        Raises:
            Unsupported: the bucket is not there, or can't be reached.
        """
        if self.local:
            with self.speaking("read"), contextlib.suppress(FileNotFoundError):
                if not stat.S_ISDIR(os.stat(self.root).st_mode):  # noqa: PTH116 - pathlib hides some errors
                    raise Unsupported(f"can't read {self.root}: it is a file, not a folder; correct RESULTS")
            return
        bucket = self.root.partition("/")[0]
        with self.speaking("reach"):
            if not self._exists(bucket):
                raise Unsupported(
                    f"can't reach {self.address('')}: there is no bucket {bucket!r}; create it, or correct RESULTS"
                )

    def check_writable(self) -> None:
        """See now, rather than after an hour of measuring, that files can be put and taken away.

        Raises:
            Unsupported: they can't.
        """
        name = f".writable-{secrets.token_hex(8)}"
        self.put(name, b"x")
        self.delete(name)


def _copy(source: Path, destination: Path) -> bool:
    """Copy a file or folder of this machine, without hidden files, such as half-written ones; whether it is there."""
    if source.is_dir():
        shutil.copytree(source, destination, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        return True
    if not source.exists():
        return False
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, destination)
    return True
