"""Loaded first by the server that forks the steps: it ends without a traceback when the engine is killed.

An engine that is killed while it requests a step leaves the server at the end of a socket.
"""

import sys
from types import TracebackType


def _print_unless_engine_is_gone(
    kind: type[BaseException], error: BaseException, where: TracebackType | None, /
) -> None:
    if not issubclass(kind, EOFError | ConnectionError):
        sys.__excepthook__(kind, error, where)


sys.excepthook = _print_unless_engine_is_gone
