"""How a call to a cluster's API is tried again: one backoff, for what may go well the next time and for conflicts."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from steps.cluster.kube.api.errors import ConflictError

R = TypeVar("R")

LONGEST_PAUSE_S: Final = 5.0
BACKOFF: Final = wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE_S)
"""The pause before the next attempt: a random one, up to twice as long each time, so that many clients spread."""

_ATTEMPTS: Final = 6


def through_conflicts(write: Callable[[], R], sleep: Callable[[float], None] = time.sleep) -> R:
    """What a write returns; it is made again where the object changed since the write read it.

    Args:
        write: reads what it depends on itself, each time.
        sleep: passes the time of a pause.

    Raises:
        ConflictError: the object changed before each of six attempts.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=BACKOFF,
        sleep=sleep,
        reraise=True,
    )
    return attempts(write)
