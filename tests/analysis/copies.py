"""Stores that are written once in a process and then copied, since to write a run takes far longer than to copy it."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from analysis.store.store import Store

_made: dict[str, tuple[Path, object]] = {}
"""By the text of what a store is made from: the store, and what it was made from, so that its text stays its own."""


def stored(root: Path, made_from: object, write: Callable[[Store], None]) -> Store:
    """A store with runs beside those that it has; where it has nothing they are copied, if they were written before.

    Args:
        root: the folder of the store.
        made_from: what decides on the runs; those of which this has the same text are the same.
        write: writes them.
    """
    store = Store(str(root))
    if root.is_dir() and any(root.iterdir()):
        write(store)
        return store
    text = repr(made_from)
    if text not in _made:
        folder = _folder() / str(len(_made))
        folder.mkdir()
        write(Store(str(folder)))
        _made[text] = folder, made_from
    shutil.copytree(_made[text][0], root, dirs_exist_ok=True)
    return store


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="stores-of-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
