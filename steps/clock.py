"""Times of a run by a clock that only goes forward, so that one that is set in mid-run can't turn them round."""

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from steps.domain import Finding
from steps.strict_model import StrictModel

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TOLERANCE_S: Final = 5.0
"""So far may the two clocks drift apart, which time servers bring about."""


class ClockMark(StrictModel):
    """A moment by the clock that only goes forward. `boot_id` names the machine and its boot."""

    boot_id: str
    since_boot_s: float


def clock_mark() -> ClockMark | None:
    """This moment; None where the machine gives none."""
    try:
        return ClockMark(boot_id=_BOOT_ID.read_text().strip(), since_boot_s=time.clock_gettime(time.CLOCK_BOOTTIME))
    except OSError:
        return None


def ended_at(
    started_at: datetime, started: ClockMark | None, now: datetime, ended: ClockMark | None
) -> tuple[datetime, Finding | None]:
    """When something ended that began at `started_at`, never before it; and what is to be known of the clock.

    Args:
        started_at: by the wall clock.
        started: the same moment's mark.
        now: the end by the wall clock.
        ended: the end's mark; where both are of one machine and boot, they say how long it took.
    """
    if started is not None and ended is not None and started.boot_id == ended.boot_id:
        found = started_at + timedelta(seconds=max(0.0, ended.since_boot_s - started.since_boot_s))
        shift_s = (now - found).total_seconds()
        if abs(shift_s) <= _TOLERANCE_S:
            return max(now, started_at), None
        direction = "back" if shift_s < 0 else "forward"
        return found, _finding(f"was set {direction} by {abs(shift_s):.0f} s during the run")
    if now < started_at:
        return started_at, _finding(
            f"says that the run ended {(started_at - now).total_seconds():.0f} s before it began"
        )
    return now, None


def _finding(what: str) -> Finding:
    return Finding(
        severity="warn",
        subject="clock",
        reason=f"the machine's clock {what}; times of day in this run are unsure by so much, durations are not",
        remedy="let a time server keep the clock",
    )
