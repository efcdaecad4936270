"""The artifact repository: what S3 is to Argo, below a directory or an address that pyarrow can write to."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from analysis.addresses import Address, filesystem, parse
from analysis.errors import Problem, Unfit
from workflows.local import liveness


class Repository(Protocol):
    """Objects by key, as in a bucket."""

    def get(self, key: str, destination: Path) -> bool:
        """Bring an object, or all objects below a prefix as a directory. False: there is none of either."""
        ...

    def held(self, key: str) -> contextlib.AbstractContextManager[None]:
        """Show whoever reads below this prefix that somebody is at work there; the sign dies with this process."""
        ...

    def put(self, source: Path, key: str) -> None:
        """Keep a file as an object, or a directory as objects below a prefix; each appears whole or not at all."""
        ...


def _checked(key: str) -> str:
    parts = PurePosixPath(key.rstrip("/")).parts
    if not parts or key.startswith("/") or ".." in parts:
        raise Problem(f"artifact key {key!r} must be a relative path without '..'.")
    return "/".join(parts)


class Directory:
    """Plain files below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                pass
        except OSError as error:
            raise Unfit(f"results directory {root} can't be written: {error.strerror}; choose another one.") from error

    def get(self, key: str, destination: Path) -> bool:
        """Copy the file, or the directory, at the key."""
        source = self._root / _checked(key)
        try:
            if source.is_dir():
                shutil.copytree(source, destination, ignore=shutil.ignore_patterns(".writing-*", liveness.MARK))
            elif source.is_file():
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, destination)
            else:
                return False
        except (OSError, shutil.Error) as error:
            raise Problem(f"artifact {source} can't be read: {error}.") from error
        return True

    @contextlib.contextmanager
    def held(self, key: str) -> Iterator[None]:
        """By a lock on a file."""
        folder = self._root / _checked(key)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(liveness.held(folder))
            except OSError as error:
                raise Unfit(f"{folder} can't be written: {error.strerror or error}.") from error
            yield

    def put(self, source: Path, key: str) -> None:
        """Write beside the target, then rename."""
        target = self._root / _checked(key)
        if not source.is_dir():
            self._put_file(source, target)
            return
        for file in sorted(f for f in source.rglob("*") if f.is_file()):
            self._put_file(file, target / file.relative_to(source))

    def _put_file(self, source: Path, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".writing-", dir=target.parent)
            writing = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as out, source.open("rb") as incoming:
                    shutil.copyfileobj(incoming, out)
                writing.chmod(0o644)
                writing.replace(target)
            except BaseException:
                writing.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise Problem(f"artifact {target} can't be written: {error.strerror or error}.") from error


class Bucket:
    """Objects in an S3 bucket; an object appears when its writing is closed.

    Objects are what the files are: left to itself, pyarrow would compress again what is called .gz, unlike Argo.
    """

    def __init__(self, address: Address) -> None:
        """Understand the address; raises BadInput where pyarrow does not take what its query says."""
        self._url, self._root = address.shown, address.root
        self._files = filesystem(address)
        from pyarrow import fs  # noqa: PLC0415 - a second's import, which a local run does without

        self._file_type, self._selector = fs.FileType, fs.FileSelector

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{_checked(key)}"

    def get(self, key: str, destination: Path) -> bool:
        """Download the object, or all objects below the prefix."""
        path = self._path(key)
        try:
            found = self._files.get_file_info(path)
            if found.type == self._file_type.File:
                self._fetch(path, destination)
                return True
            below = self._files.get_file_info(self._selector(path, recursive=True, allow_not_found=True))
            files: list[Any] = [info for info in below if info.type == self._file_type.File]
            for info in files:
                self._fetch(info.path, destination / PurePosixPath(info.path).relative_to(path))
        except OSError as error:
            raise Problem(f"artifact {key} can't be read from {self._url}: {error}.") from error
        return bool(files)

    def held(self, key: str) -> contextlib.AbstractContextManager[None]:
        """A bucket has no lock that would die with a process."""
        del key
        return contextlib.nullcontext()

    def _fetch(self, path: str, destination: Path) -> None:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with self._files.open_input_stream(path, compression=None) as incoming, destination.open("wb") as out:
            shutil.copyfileobj(incoming, out)

    def put(self, source: Path, key: str) -> None:
        """Upload the file, or all files below the directory."""
        files = [source] if not source.is_dir() else sorted(f for f in source.rglob("*") if f.is_file())
        try:
            for file in files:
                path = self._path(key)
                if source.is_dir():
                    path = f"{path}/{file.relative_to(source).as_posix()}"
                with file.open("rb") as incoming, self._files.open_output_stream(path, compression=None) as out:
                    shutil.copyfileobj(incoming, out)
        except OSError as error:
            raise Problem(f"artifact {key} can't be written to {self._url}: {error}.") from error


def open_repository(address: str) -> Repository:
    """The repository at the address of a store, which means to both the same place.

    Raises:
        BadInput: the address makes no sense.
        Unfit: the directory can't be written.
    """
    understood = parse(address)
    return Directory(Path(understood.root)) if understood.local else Bucket(understood)
