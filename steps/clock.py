"""The end of a run by the monotonic clock, so that setting the wall clock during the run can't falsify it."""

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from steps.domain import Finding
from steps.strict_model import StrictModel

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TOLERANCE_S: Final = 5.0
"""How far a time server may adjust the wall clock without a finding."""


class ClockMark(StrictModel):
    """A moment by the monotonic clock. `boot_id` identifies the machine and its boot."""

    boot_id: str
    since_boot_s: Annotated[float, Field(ge=0, le=1e10)]


def clock_mark() -> ClockMark | None:
    """This moment; None where the machine has no such clock."""
    try:
        return ClockMark(boot_id=_BOOT_ID.read_text().strip(), since_boot_s=time.clock_gettime(time.CLOCK_BOOTTIME))
    except OSError:
        return None


def ended_at(
    started_at: datetime, started: ClockMark | None, now: datetime, ended: ClockMark | None
) -> tuple[datetime, Finding | None]:
    """When something ended that began at `started_at`, never before it; and a finding if the clock was set meanwhile.

    `started`, `ended`: marks of the moments that the wall clock calls `started_at` and `now`; used where both are of
    one machine and boot.
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
            f"shows that the run ended {(started_at - now).total_seconds():.0f} s before it began"
        )
    return now, None


def _finding(what: str) -> Finding:
    return Finding(
        severity="warn",
        subject="clock",
        reason=f"the machine's clock {what}; times of day in this run are uncertain by that much, durations are not",
        remedy="synchronise the clock with a time server",
    )
