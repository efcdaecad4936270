"""The files of a store, in a folder or in an S3 bucket: each is put whole or not at all; trouble is a sentence."""

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pyarrow import fs

from analysis.addresses import local_path, s3
from analysis.errors import BadInput, Unfit
from analysis.trouble import reason

LOCK_S: Final = 60
TEMPORARY: Final = ".tmp"
"""How the name of a file ends that is still being written, or whose writer was killed."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a folder of the store: its name in that folder, and when it was last put, in seconds of the epoch."""

    name: str
    modified_s: float


class Files:
    """The files below one root, named by paths relative to it, such as `runs/x.parquet`."""

    def __init__(self, url: str) -> None:
        """Understand the address; nothing is touched yet.

        Args:
            url: a path, `file://...`, or `s3://bucket/prefix`, whose query may hold what pyarrow takes
                (`endpoint_override`, `scheme`, `region`, `access_key`, `secret_key`).

        Raises:
            BadInput: it is none of these.
        """
        self.url = url
        scheme = url.partition("://")[0] if "://" in url else ""
        if not url.strip():
            raise BadInput("RESULTS is empty; give a folder, file://... or s3://BUCKET/PREFIX")
        if scheme == "s3":
            self.local = False
            self.filesystem, self.root = s3(url)
        elif scheme in {"", "file"}:
            self.local = True
            self.filesystem = fs.LocalFileSystem()
            self.root = str(Path(local_path(url) if scheme else url).expanduser().absolute())
        else:
            raise BadInput(f"RESULTS can't be {url!r}: {scheme}:// is not known; give a folder, file:// or s3://")

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
            raise Unfit(f"can't {doing} {where}: {reason(error)}") from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other writers of this folder out meanwhile. A bucket has no lock, and some file systems have none.

        Raises:
            Unfit: another writer does not end.
        """
        if not self.local:
            yield
            return
        with contextlib.ExitStack() as stack:
            with self.speaking("write", ".lock"):
                Path(self.root).mkdir(parents=True, exist_ok=True)
                handle = os.open(self.path(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                stack.callback(os.close, handle)
                self._wait_for(handle)
            yield

    def _wait_for(self, handle: int) -> None:
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unfit(
                        f"can't write {self.root}: another process has been writing it for {LOCK_S} s"
                    ) from None
                time.sleep(0.05)
            except OSError as error:
                if error.errno in {errno.ENOLCK, errno.ENOTSUP}:
                    return
                raise
            else:
                return

    def put(self, name: str, content: bytes) -> None:
        """Write a file so that a reader, or a kill at any moment, finds all of it or what was there before.

        Raises:
            Unfit: it can't be written.
        """
        with self.speaking("write", name):
            if self.local:
                _put_local(Path(self.path(name)), content)
            else:
                with self.filesystem.open_output_stream(self.path(name), compression=None) as stream:
                    stream.write(content)

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: it is not there.
            Unfit: it can't be read.
        """
        try:
            with self.filesystem.open_input_file(self.path(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Unfit(f"can't read {self.address(name)}: {reason(error)}") from error

    def list(self, folder: str) -> list[File]:
        """The files of a folder whose names don't begin with a dot, by name; none where there is no such folder.

        Raises:
            Unfit: it can't be listed.
        """
        with self.speaking("read", folder):
            found = self.filesystem.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
        return sorted(
            (
                File(info.base_name, info.mtime.timestamp())
                for info in found
                if info.type == fs.FileType.File and not info.base_name.startswith(".")
            ),
            key=lambda file: file.name,
        )

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder; none where there is no such folder.

        Raises:
            Unfit: it can't be listed.
        """
        with self.speaking("read", folder):
            found = self.filesystem.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
        return tuple(sorted(info.base_name for info in found if info.type == fs.FileType.Directory))

    def last_put(self, folder: str) -> datetime | None:
        """When anything was last put into a folder, or below it; None where there is nothing.

        Raises:
            Unfit: it can't be listed.
        """
        with self.speaking("read", folder):
            found = self.filesystem.get_file_info(
                fs.FileSelector(self.path(folder), allow_not_found=True, recursive=True)
            )
        return max((info.mtime for info in found if info.type == fs.FileType.File), default=None)

    def fetch(self, folder: str, destination: Path) -> None:
        """Copy a folder, and all below it, to this machine.

        Raises:
            Unfit: it can't be read, or not be written there.
        """
        with self.speaking("read", folder):
            fs.copy_files(
                self.path(folder),
                str(destination),
                source_filesystem=self.filesystem,
                destination_filesystem=fs.LocalFileSystem(),
            )

    def delete(self, name: str) -> None:
        """Take a file away; it may be gone already.

        Raises:
            Unfit: it can't be deleted.
        """
        with self.speaking("delete", name), contextlib.suppress(FileNotFoundError):
            if self.local:
                Path(self.path(name)).unlink()
            else:
                self.filesystem.delete_file(self.path(name))

    def sweep_temporary(self, folder: str, older_than_s: float) -> None:
        """Take away what killed writers left half written. An S3 service does this by itself.

        Raises:
            Unfit: one can't be deleted.
        """
        if not self.local:
            return
        for path in Path(self.path(folder)).glob(f".*{TEMPORARY}"):
            with self.speaking("delete", f"{folder}/{path.name}"), contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > older_than_s:
                    path.unlink()

    def check_there(self) -> None:
        """See that a bucket is there: listing one that is not looks like an empty one.

        Raises:
            Unfit: the bucket is not there, or can't be reached.
        """
        if self.local:
            root = Path(self.root)
            if root.exists() and not root.is_dir():
                raise Unfit(f"can't read {root}: it is a file, not a folder; correct RESULTS")
            return
        bucket = self.root.partition("/")[0]
        with self.speaking("reach"):
            if self.filesystem.get_file_info(bucket).type == fs.FileType.NotFound:
                raise Unfit(
                    f"can't reach {self.address('')}: there is no bucket {bucket!r}; create it, or correct RESULTS"
                )

    def check_writable(self) -> None:
        """See now, rather than after an hour of measuring, that files can be put and taken away.

        Raises:
            Unfit: they can't.
        """
        name = f".writable-{secrets.token_hex(8)}"
        self.put(name, b"x")
        self.delete(name)


def _put_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY}"
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # The rename itself is on disk only when its folder is.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
