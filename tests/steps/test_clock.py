"""The end of a run is never before its beginning, whatever was done to the clock."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from steps import clock
from steps.clock import ClockMark, ended_at

BEGAN = datetime(2026, 11, 26, 7, tzinfo=UTC)
SECONDS = st.floats(0, 90_000)
SHIFTS = st.floats(-1e6, 1e6)


@seed(1)
@settings(max_examples=300)
@given(SECONDS, SHIFTS, st.booleans())
def test_clock_adjustment_keeps_run_times_ordered(took_s: float, shift_s: float, same_boot: bool) -> None:  # noqa: FBT001
    now = BEGAN + timedelta(seconds=took_s + shift_s)
    started = ClockMark(boot_id="a", since_boot_s=100.0)
    ended = ClockMark(boot_id="a" if same_boot else "b", since_boot_s=100.0 + took_s)
    found, doubt = ended_at(BEGAN, started, now, ended)
    assert found >= BEGAN
    if same_boot:
        assert abs((found - BEGAN).total_seconds() - took_s) <= 5.001
        assert (doubt is not None) == (abs((now - found).total_seconds()) > 5 or found != max(now, BEGAN))
    else:
        assert found == max(now, BEGAN)
        assert (doubt is not None) == (now < BEGAN)


def test_clock_set_back_is_reported() -> None:
    started, ended = ClockMark(boot_id="a", since_boot_s=1.0), ClockMark(boot_id="a", since_boot_s=61.0)
    found, doubt = ended_at(BEGAN, started, BEGAN - timedelta(hours=1), ended)
    assert found == BEGAN + timedelta(seconds=60)
    assert doubt is not None
    assert doubt.sentence.startswith("clock: the machine's clock was set back by 3660 s during the run;")
    assert ended_at(BEGAN, None, BEGAN + timedelta(seconds=9), None) == (BEGAN + timedelta(seconds=9), None)


def test_timestamps_of_one_machine_are_ordered() -> None:
    first, second = clock.clock_mark(), clock.clock_mark()
    assert first is not None
    assert second is not None
    assert first.boot_id == second.boot_id
    assert first.since_boot_s <= second.since_boot_s
