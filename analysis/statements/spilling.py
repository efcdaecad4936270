"""The folder for what a query moves out of memory."""

import atexit
import functools
import secrets
import shutil
import tempfile
from pathlib import Path


def spill_folder() -> str:
    """A folder for one connection, which DuckDB makes and removes; empty where there can be none."""
    try:
        return str(Path(_private_folder(), secrets.token_hex(4)))
    except FileNotFoundError:
        return ""


def remove() -> None:
    """Remove what this process spilled, before it ends in a way that skips its own cleaning up."""
    if _private_folder.cache_info().currsize:
        shutil.rmtree(_private_folder(), ignore_errors=True)


@functools.cache
def _private_folder() -> str:
    """A folder that no other user can read, enter or have made; removed at the end of the process."""
    folder = tempfile.mkdtemp(prefix="dataplane-benchmark-duckdb-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
