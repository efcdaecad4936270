"""The artifacts of a run: handed over between its steps in a private folder, and copied to the results.

Only this folder is read. What lies in the results may be swapped by everyone who may write there, so that a step would
run what they want.
"""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from analysis.errors import Problem, Unsupported
from analysis.store.storage.folder import Folder
from analysis.store.storage.object_storage import ObjectStorage
from workflows.local.execution import liveness


class ArtifactStore:
    """Objects by key, as in a bucket."""

    def __init__(self, address: str, private: Path) -> None:
        """Open the results at a store's address.

        `address`: a directory, or a file:// or s3:// address; it gets a copy of each object. `private`: a directory
        that only this user can open.

        Raises:
            BadInput: the address is invalid.
            Unsupported: the folder of the results can't be written.
        """
        self._results = ObjectStorage(address)
        if self._results.local:
            self._results.check_writable()
        self._private = Folder(private)

    def get(self, key: str, destination: Path) -> bool:
        """Copy an object, or all objects below a prefix as a folder. False: there is none of either.

        Raises:
            Problem: the key leads out of the repository.
            OSError: it can't be copied.
        """
        return self._private.fetch(_checked(key), destination, sys.maxsize)

    def put(self, source: Path, key: str) -> None:
        """Store a file as an object, or a folder as objects below a prefix; each object whole or not at all.

        Raises:
            Problem: its copy can't be written, or the key leads out of the repository.
            OSError: it can't be copied.
        """
        key = _checked(key)
        files = sorted(f for f in source.rglob("*") if f.is_file()) if source.is_dir() else [source]
        for file in files:
            below = f"/{file.relative_to(source).as_posix()}" if file != source else ""
            with file.open("rb") as incoming, self._private.replacing(key + below) as out:
                shutil.copyfileobj(incoming, out)
            self._results.put_file(key + below, file)

    @contextlib.contextmanager
    def mark_active(self, key: str) -> Iterator[None]:
        """Mark the run whose folder has this prefix as active; in a bucket there is no such mark.

        Raises:
            Unsupported: the folder can't be written.
        """
        with contextlib.ExitStack() as stack:
            if (folder := self._results.folder) is not None:
                try:
                    stack.enter_context(liveness.hold_run_lock(folder, _checked(key)))
                except OSError as error:
                    where = self._results.address(key)
                    raise Unsupported(f"{where} can't be written: {error.strerror or error}.") from error
            yield


def _checked(key: str) -> str:
    parts = PurePosixPath(key.rstrip("/")).parts
    if not parts or key.startswith("/") or ".." in parts:
        raise Problem(f"artifact key {key!r} must be a relative path without '..'.")
    return "/".join(parts)
