"""Polling: how often something is observed, when it ends, and its result."""

import pytest

from steps.polling import poll


class Observations:
    """Counts observations, and records the pauses between them."""

    def __init__(self) -> None:
        self.count = 0
        self.pauses: list[float] = []

    def __call__(self) -> int:
        self.count += 1
        return self.count


def test_polling_ends_with_the_first_result_that_is_as_wanted() -> None:
    observations, repeated = Observations(), list[int]()
    assert (
        poll(observations, lambda n: n == 3, pause_s=2.0, sleep=observations.pauses.append, again=repeated.append) == 3
    )
    assert observations.pauses == [2.0, 2.0]
    assert repeated == [1, 2], "those followed by another observation"


def test_polling_pauses_longer_each_time_up_to_the_longest() -> None:
    observations = Observations()
    poll(observations, lambda n: n == 6, pause_s=0.5, longest_pause_s=3.0, sleep=observations.pauses.append)
    assert observations.pauses == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_polling_gives_the_last_result_when_time_is_up() -> None:
    observations = Observations()
    assert poll(observations, lambda _: False, pause_s=1.0, timeout_s=0.0, sleep=observations.pauses.append) == 1
    assert observations.pauses == []


def test_error_of_a_look_ends_the_polling() -> None:
    def look() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        poll(look, bool, pause_s=1.0, timeout_s=10.0)
