"""The artifact repository: the files of a store, in a folder or a bucket, as the objects of S3 are to Argo."""

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from analysis.errors import Problem, Unsupported
from analysis.store.object_storage import ObjectStorage
from workflows.local.execution import liveness


class ArtifactStore:
    """Objects by key, as in a bucket."""

    def __init__(self, address: str) -> None:
        """Open the repository at a store's address.

        Raises:
            BadInput: the address is invalid.
            Unsupported: the folder can't be written.
        """
        self._files = ObjectStorage(address)
        if self._files.local:
            self._files.check_writable()

    def get(self, key: str, destination: Path) -> bool:
        """Copy an object, or all objects below a prefix as a folder. False: there is none of either.

        Raises:
            Problem: it can't be read, or the key leads out of the repository.
        """
        return self._files.fetch(_checked(key), destination)

    def put(self, source: Path, key: str) -> None:
        """Store a file as an object, or a folder as objects below a prefix; each object whole or not at all.

        Raises:
            Problem: it can't be written, or the key leads out of the repository.
        """
        key = _checked(key)
        if not source.is_dir():
            self._files.put_file(key, source)
            return
        for file in sorted(f for f in source.rglob("*") if f.is_file()):
            self._files.put_file(f"{key}/{file.relative_to(source).as_posix()}", file)

    @contextlib.contextmanager
    def mark_active(self, key: str) -> Iterator[None]:
        """Mark the run whose folder has this prefix as active; in a bucket there is no such mark.

        Raises:
            Unsupported: the folder can't be written.
        """
        with contextlib.ExitStack() as stack:
            if self._files.local:
                folder = Path(self._files.path(_checked(key)))
                try:
                    stack.enter_context(liveness.hold_run_lock(folder))
                except OSError as error:
                    raise Unsupported(f"{folder} can't be written: {error.strerror or error}.") from error
            yield


def _checked(key: str) -> str:
    parts = PurePosixPath(key.rstrip("/")).parts
    if not parts or key.startswith("/") or ".." in parts:
        raise Problem(f"artifact key {key!r} must be a relative path without '..'.")
    return "/".join(parts)
