"""Waiting for a condition, without taking the processor from what is waited for."""

import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], seconds: float = 60, pause_s: float = 0.03) -> None:
    """Wait until a condition is true.

    Args:
        condition: what is looked at again and again.
        seconds: after which the test fails. However busy the machine is, it is reached by a fault only.
        pause_s: between two looks.
    """
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"the condition did not come true within {seconds} s"
        pause.wait(pause_s)
