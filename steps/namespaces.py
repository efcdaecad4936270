"""Network namespaces of this machine by name: commands that run in one, and threads that enter one."""

import ctypes
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from analysis.errors import BadInput

T = TypeVar("T")

NAME: Final = "[a-z0-9][a-z0-9-]{0,62}"
"""The pattern of a name, which leads nowhere out of `DIRECTORY` and is no option of a program."""

DIRECTORY: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    """The file that keeps the namespace.

    Raises:
        BadInput: it is no name of a namespace.
    """
    if not re.fullmatch(NAME, name):
        raise BadInput(f"{name!r} is no name of a network namespace: it may have small letters, digits and dashes.")
    return DIRECTORY / name


def command_in(name: str | None, argv: Sequence[str]) -> tuple[str, ...]:
    """The argument vector that runs a program in a namespace; None: in this process's own."""
    return tuple(argv) if name is None else ("nsenter", f"--net={path(name)}", *argv)


def within(name: str, function: Callable[[], T]) -> T:
    """Call a function in a namespace, in a thread of its own; sockets that it makes stay there.

    A thread, because an ordinary user who enters a namespace of the lab may not return to the machine's own.

    Raises:
        OSError: there is no such namespace, or it may not be entered.
    """

    def enter_and_call() -> T:
        with path(name).open("rb") as file:
            if _LIBC.setns(file.fileno(), _CLONE_NEWNET):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(path(name)))
        return function()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(enter_and_call).result()
