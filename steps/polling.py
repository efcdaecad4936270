"""Polling, for what sends no events, such as a log. Kubernetes objects are watched: `steps.cluster.kube.api.watch`."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, stop_never, wait_exponential

T = TypeVar("T")


def poll(
    look: Callable[[], T],
    done: Callable[[T], bool],
    *,
    pause_s: float,
    longest_pause_s: float | None = None,
    timeout_s: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    again: Callable[[T], None] = lambda _found: None,
) -> T:
    """The first result for which `done` is true, or the last one at the timeout. An exception of `look` ends it.

    Args:
        look: one observation.
        done: whether its result ends the polling.
        pause_s: between two observations.
        longest_pause_s: the pause doubles up to this; None: it stays the same.
        timeout_s: no observation begins after this; None: no limit.
        sleep: waits for a pause.
        again: called with each result that is followed by another observation.
    """

    def before_sleep(state: RetryCallState) -> None:
        if state.outcome is not None:
            again(state.outcome.result())

    looks = Retrying(
        retry=retry_if_result(lambda found: not done(found)),
        stop=stop_never if timeout_s is None else stop_after_delay(timeout_s),
        wait=wait_exponential(multiplier=pause_s, max=longest_pause_s or pause_s),
        sleep=sleep,
        before_sleep=before_sleep,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome is not None else None,
    )
    return looks(look)
