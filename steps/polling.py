"""Look again and again until something is as wanted: for what sends no event of its own, such as a log or a clock.

Objects of a Kubernetes cluster are watched instead: see `steps.cluster.kube.api.watch`.
"""

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
    """The first result that is as wanted, or the last one when time is up. What a look raises ends the polling.

    Args:
        look: looks once.
        done: whether a result is as wanted.
        pause_s: how long to wait between two looks.
        longest_pause_s: the pause doubles up to this; it stays the same where None.
        timeout_s: no look begins after this; None: there is no limit.
        sleep: passes the time of a pause.
        again: called with each result that is followed by another look.
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
