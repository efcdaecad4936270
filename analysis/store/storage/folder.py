"""A folder whose contents are opened without following symbolic links, so that no link in it leads out of it.

Links in the path of the folder itself are followed: the user who named the folder chose them, and `trust` checks them.
"""

import contextlib
import errno
import itertools
import os
import stat
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from analysis.store.storage import atomic
from analysis.store.storage.copying import MOST_FILES, Allowance, TooLargeError
from analysis.store.storage.owner import Owner

_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
"""To pass through a folder: the right to list it is not needed."""

_NO_NAMELESS: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
"""What a file system or kernel says that has no O_TMPFILE."""


class LinkError(OSError):
    """A path below a folder has a symbolic link, which is not followed. `filename` is its path below the folder."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.ELOOP, "is a symbolic link, which is not followed", name)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder: its path below the listed folder, and when it was last written, in epoch seconds."""

    name: str
    is_file: bool
    modified_s: float


class Folder:
    """The files below a folder, by their paths relative to it, such as `runs/x.parquet`.

    Every method raises LinkError where a part of such a path is a symbolic link, and OSError for other failures.
    """

    def __init__(self, root: str | Path, owner: Owner | None = None) -> None:
        """A folder that is accessed with the rights of this owner; None: of this process."""
        self.root = Path(root)
        self._owner = owner
        self._opened: dict[str, int] = {}

    def path_for_libraries(self, name: str) -> str:
        """A path by which a library opens a file that never changes, with the rights of this process.

        In a folder of another owner that is the path of a descriptor, which stays open as long as this object: anything
        in the file's own path may be swapped for a link meanwhile.
        """
        if self._owner is None:
            return f"{self.root}/{name}"
        if name not in self._opened:
            with self.open_file(name) as descriptor:
                self._opened[name] = os.dup(descriptor)
            weakref.finalize(self, os.close, self._opened[name])
        return f"/proc/self/fd/{self._opened[name]}"

    def _acting(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._owner is None else self._owner.acting()

    @contextlib.contextmanager
    def open_folder(self, name: str = "", *, create: bool = False) -> Iterator[int]:
        """A descriptor of a folder, for `dir_fd`, closed at the end of the block; of the root if the name is empty.

        `create`: missing folders are made, and the root.
        """
        parts = name.split("/") if name else []
        check_parts(parts)
        with contextlib.ExitStack() as stack:
            with self._acting():
                if create:
                    self.root.mkdir(parents=True, exist_ok=True)
                folder = os.open(self.root, _PATH)
                stack.callback(os.close, folder)
                for place, part in enumerate(parts, 1):
                    if create:
                        with contextlib.suppress(FileExistsError):
                            os.mkdir(part, dir_fd=folder)
                    folder = _open(folder, part, "/".join(parts[:place]), _PATH)
                    stack.callback(os.close, folder)
            yield folder

    @contextlib.contextmanager
    def open_file(self, name: str, flags: int = os.O_RDONLY, mode: int = 0o666) -> Iterator[int]:
        """A descriptor of a regular file, closed at the end of the block. O_CREAT also makes missing folders.

        A pipe would block its reader for ever, and a device would never end.
        """
        with self._folder_of(name, create=bool(flags & os.O_CREAT)) as (folder, file), self._acting():
            descriptor = _open(folder, file, name, flags | os.O_CLOEXEC | os.O_NONBLOCK, mode)
        try:
            kind = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(kind):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
            if not stat.S_ISREG(kind):
                raise OSError(errno.ENXIO, "is no regular file", name)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """The content of a file."""
        with self.open_file(name) as descriptor, open(descriptor, "rb", closefd=False) as stream:
            yield stream

    @contextlib.contextmanager
    def replacing(self, name: str, *, durable: bool = False) -> Iterator[BinaryIO]:
        """A stream whose content replaces a file, as `atomic.replacing` does."""
        with (
            self._folder_of(name, create=True) as (folder, file),
            self._acting(),
            atomic.replacing_in(folder, file, durable=durable) as stream,
        ):
            yield stream

    def entries(self, name: str, *, recursive: bool = False) -> list[Entry]:
        """The files and folders in a folder; with `recursive` also those below it. None where there is no such folder.

        A link, a pipe and the like count as files.
        """
        try:
            with self.open_folder(name) as folder, self._acting():
                found = list(itertools.islice(_entries(folder, "", recursive=recursive), MOST_FILES + 1))
        except FileNotFoundError:
            return []
        if len(found) > MOST_FILES:
            raise TooLargeError(MOST_FILES, "files")
        return found

    def exists(self, name: str) -> bool:
        """Whether there is anything of this name."""
        return self._mode(name) is not None

    def check_writable(self) -> None:
        """Check that a first file can be made here, with the folder if there is none, without making either."""
        with self._acting():
            # root makes what a link leads to, once `trust` has checked the way
            place = Path(os.path.realpath(self.root)) if os.geteuid() == 0 else self.root
            while not os.path.lexists(place):
                place = place.parent
            _check_makes_files(place)

    def delete(self, name: str) -> None:
        """Delete a file; a link itself, not what it leads to."""
        with self._folder_of(name) as (folder, file), self._acting():
            os.unlink(file, dir_fd=folder)

    def delete_folder(self, name: str) -> None:
        """Delete an empty folder."""
        with self._folder_of(name) as (folder, file), self._acting():
            os.rmdir(file, dir_fd=folder)

    def fetch(self, name: str, destination: Path, most_bytes: int) -> bool:
        """Copy a file, or a folder without its hidden files; returns whether there is one of this name.

        Raises:
            TooLargeError: there is more of it than that.
        """
        kind = self._mode(name)
        if kind is None:
            return False
        allowance = Allowance(most_bytes)
        if not stat.S_ISDIR(kind):
            self._copy(name, destination, allowance)
            return True
        destination.mkdir(parents=True, exist_ok=True)
        for entry in self.entries(name, recursive=True):
            if entry.is_file and not any(part.startswith(".") for part in entry.name.split("/")):
                self._copy(f"{name}/{entry.name}", destination / entry.name, allowance)
        return True

    def _copy(self, name: str, destination: Path, allowance: Allowance) -> None:
        with self.reading(name) as incoming:
            allowance.copy(incoming, destination)

    def _mode(self, name: str) -> int | None:
        with contextlib.suppress(FileNotFoundError), self._folder_of(name) as (folder, file), self._acting():
            return os.stat(file, dir_fd=folder, follow_symlinks=False).st_mode
        return None

    @contextlib.contextmanager
    def _folder_of(self, name: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """The open folder of a file, and the file's own name."""
        folder, _, file = name.rpartition("/")
        check_parts([file])
        with self.open_folder(folder, create=create) as opened:
            yield opened, file


def _check_makes_files(place: Path) -> None:
    """Make a file that has no name, and so is nowhere; where a file system has none, ask for the right to make one."""
    if place.is_symlink() and not place.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    try:
        os.close(os.open(place, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
        if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place)) from None


def check_parts(parts: Iterable[str]) -> None:
    """Check that none of these names leads out of its folder.

    Raises:
        OSError: one does, or is empty.
    """
    for part in parts:
        if part in {"", ".", ".."} or "/" in part or "\0" in part:
            raise OSError(errno.EINVAL, f"{part!r} can't be the name of a file or folder")


def _open(folder: int, part: str, name: str, flags: int, mode: int = 0o777) -> int:
    try:
        return os.open(part, flags | os.O_NOFOLLOW, mode, dir_fd=folder)
    except OSError as error:
        # The kernel's error for a link is ELOOP, or ENOTDIR where a folder is wanted.
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise LinkError(name) from None
        raise


def _entries(folder: int, prefix: str, *, recursive: bool) -> Iterator[Entry]:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        with os.scandir(descriptor) as found:
            for one in found:
                name = f"{prefix}{one.name}"
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    is_file = not one.is_dir(follow_symlinks=False)
                    yield Entry(name, is_file, one.stat(follow_symlinks=False).st_mtime)
                    if recursive and not is_file:
                        below = _open(descriptor, one.name, name, _PATH)
                        try:
                            yield from _entries(below, f"{name}/", recursive=True)
                        finally:
                            os.close(below)
    finally:
        os.close(descriptor)
