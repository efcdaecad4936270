"""Work that this process does not wait for at its end."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def begin(work: Callable[[], T]) -> Future[T]:
    """The outcome of work that a thread begins: a daemon, as no thread of an executor is."""
    outcome: Future[T] = Future()

    def fulfil() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the thread that asks for the outcome raises it
            outcome.set_exception(error)

    threading.Thread(target=fulfil, daemon=True).start()
    return outcome
