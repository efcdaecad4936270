"""What the server that forks the steps loads first: it ends quietly where the engine that asks it is gone.

Killed between its call and the file descriptors that go with it, the engine leaves the server at the end of a socket.
The server is over then, as it should be, but Python would print its traceback between the run's last sentences.
"""

import sys
from types import TracebackType


def _except_for_a_vanished_engine(
    kind: type[BaseException], error: BaseException, where: TracebackType | None, /
) -> None:
    if not issubclass(kind, EOFError | ConnectionError):
        sys.__excepthook__(kind, error, where)


sys.excepthook = _except_for_a_vanished_engine
