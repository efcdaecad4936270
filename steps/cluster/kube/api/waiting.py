"""Actions when a call takes long, such as a notice of what it waits for."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

SILENCE_S: Final = 3.0
"""The delay before the user gets a notice."""

Say = Callable[[str], None]


@contextmanager
def after(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call `act` in a separate thread if the block takes longer than so many seconds."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class DelayNotice:
    """One notice, given once: by `now`, or after SILENCE_S in a `watched` block."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._given = False

    def now(self, sentence: str) -> None:
        """Give the notice, unless it was given before."""
        with self._lock:
            first, self._given = not self._given, True
        if first:
            self._say(sentence)

    def watched(self, sentence: str) -> AbstractContextManager[None]:
        """Give the notice if the block takes longer than SILENCE_S."""
        return after(SILENCE_S, lambda: self.now(sentence))
