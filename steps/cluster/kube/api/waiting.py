"""Do something when a call takes longer than it should, such as to print what is being waited for."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

SILENCE_S: Final = 3.0
"""After this the user sees what is being waited for."""

Say = Callable[[str], None]


@contextmanager
def after(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call `act`, in a thread of its own, when what happens inside takes longer than so many seconds."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class DelayNotice:
    """One sentence, said once: when `now` is called, or when SILENCE_S have passed inside `watched`."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._said = False

    def now(self, sentence: str) -> None:
        """Say it, unless this notice has said something before."""
        with self._lock:
            first, self._said = not self._said, True
        if first:
            self._say(sentence)

    def watched(self, sentence: str) -> AbstractContextManager[None]:
        """Say it when what happens inside takes longer than SILENCE_S."""
        return after(SILENCE_S, lambda: self.now(sentence))
