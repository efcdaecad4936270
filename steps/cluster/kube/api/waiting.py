"""Say a sentence to whoever watches where something takes longer than a person would wait for without a word."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SILENCE_S: Final = 3.0
"""After this a person is told what is being waited for."""

Say = Callable[[str], None]


class Notice:
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

    @contextmanager
    def watched(self, sentence: str) -> Iterator[None]:
        """Say it when what happens inside takes longer than SILENCE_S."""
        timer = threading.Timer(SILENCE_S, self.now, [sentence])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
