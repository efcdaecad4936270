"""Retries of calls to a cluster's API: one backoff, for transient errors and for conflicts."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from steps.cluster.kube.api.errors import ConflictError

R = TypeVar("R")

LONGEST_PAUSE_S: Final = 5.0
BACKOFF: Final = wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE_S)
"""The pause before the next attempt: random, and up to twice as long each time."""

_ATTEMPTS: Final = 6


def through_conflicts(write: Callable[[], R], sleep: Callable[[float], None] = time.sleep) -> R:
    """The result of a write, which is repeated if the object changed since it was read.

    Raises:
        ConflictError: the object changed in each of six attempts.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=BACKOFF,
        sleep=sleep,
        reraise=True,
    )
    return attempts(write)
