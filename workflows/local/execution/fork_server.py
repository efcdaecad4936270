"""Loaded first by the server that forks the steps: it loads fast, and ends without a traceback with a killed engine.

An engine that is killed while it requests a step leaves the server at the end of a socket.
"""

import gc
import sys
from types import TracebackType


def _print_unless_engine_is_gone(
    kind: type[BaseException], error: BaseException, where: TracebackType | None, /
) -> None:
    if not issubclass(kind, EOFError | ConnectionError):
        sys.__excepthook__(kind, error, where)


gc.set_threshold(20_000)  # almost all that the server loads stays
sys.excepthook = _print_unless_engine_is_gone
