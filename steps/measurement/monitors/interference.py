"""How much CPU foreign processes of this machine use while a lab measures.

Foreign are the processes that are neither in the sandbox nor threads of the kernel. Their own time is counted, instead
of the machine's less the sandbox's: the kernel forwards packets in the context of the idle task too.
"""

import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from steps.measurement.subprocesses import Programs

HOST_PROC: Final = Path("/run/hostproc")
"""Where the sandbox keeps the host's /proc."""

_KERNEL_THREAD: Final = 0x00200000
_FLAGS_FIELD: Final = 6
_CPU_FIELDS: Final = slice(11, 15)
"""User and system time, of the process and of its children that have ended, so that no time is lost."""

_STARTED_FIELD: Final = 19
_TICK_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class ForeignCpuReading:
    """CPU seconds that foreign processes have used, by a monotonic clock."""

    at_s: float
    cores: int
    foreign_s: float


class ForeignCpu:
    """Reads the CPU time of foreign processes; unavailable outside a sandbox, where own and foreign look alike."""

    window_s: float = 0.1

    def __init__(self, host_proc: Path = HOST_PROC) -> None:
        self._host = host_proc
        self._foreign: dict[tuple[str, str], bool] = {}
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")

    def read(self) -> ForeignCpuReading | None:
        """The machine now; None where this process is in no sandbox that keeps the host's /proc."""
        if not (self._host / "stat").is_file():
            return None
        at_s = time.monotonic()
        try:
            sandbox = _pid_namespace(Path("/proc/self"))
            ticks = sum(sum(int(field) for field in fields[_CPU_FIELDS]) for fields in self._foreign_processes(sandbox))
        except OSError:
            return None
        return ForeignCpuReading(at_s, os.cpu_count() or 1, ticks / self._ticks_per_s)

    def ratio(self, stopped: threading.Event) -> float | None:
        """The share of all cores that foreign processes use in the next `window_s`; None: unknown."""
        before = self.read()
        stopped.wait(self.window_s)
        return foreign_ratio(before, self.read())

    def _foreign_processes(self, sandbox: int | None) -> Iterator[list[str]]:
        for process in self._host.iterdir():
            if not process.name.isdigit():
                continue
            try:
                fields = _stat(process)
                key = (process.name, fields[_STARTED_FIELD])
                if key not in self._foreign:
                    kernel = bool(int(fields[_FLAGS_FIELD]) & _KERNEL_THREAD)
                    self._foreign[key] = not kernel and _pid_namespace(process) != sandbox
                if self._foreign[key]:
                    yield fields
            except (FileNotFoundError, ProcessLookupError, IndexError):
                continue  # it has ended; its time is now in its parent's


def _pid_namespace(process: Path) -> int | None:
    """The namespace of process ids that it is in; None where that is not permitted, so that it is foreign."""
    try:
        return (process / "ns" / "pid").stat().st_ino
    except PermissionError:
        return None


def _stat(process: Path) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may itself contain blanks and brackets."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def foreign_ratio(before: ForeignCpuReading | None, after: ForeignCpuReading | None) -> float | None:
    """The share of all cores that foreign processes used between two readings, 0 to 1; None: unknown."""
    if before is None or after is None or after.at_s <= before.at_s:
        return None
    return min(1.0, max(0.0, (after.foreign_s - before.foreign_s) / ((after.at_s - before.at_s) * after.cores)))


class Others(Protocol):
    """Tells how much CPU others use now. `window_s`: how long it looks."""

    window_s: float

    def ratio(self, stopped: threading.Event) -> float | None:
        """The share of the CPU that they use in the next `window_s`; None: unknown."""
        ...


class InterferenceGate:
    """Decides whether a trial was disturbed, and waits for a quiet machine, within a budget for all trials of a step.

    Without the budget a machine that is never quiet would take three times as long.
    """

    def __init__(self, others: Others | None, limit_ratio: float, budget_s: float, programs: Programs) -> None:
        self._others = others
        self._limit_ratio = limit_ratio
        self._budget_s = budget_s
        self._programs = programs

    def disturbed(self, ratio: float | None, window_s: float) -> bool:
        """Whether others used more than the limit and the resolution of the counters."""
        return ratio is not None and window_s > 0 and ratio > self._limit_ratio + _TICK_S / window_s

    def spend(self, seconds: float) -> bool:
        """Take so much of the budget; False if it was spent already."""
        enough = self._budget_s > 0
        self._budget_s -= seconds
        return enough

    def wait(self, most_s: float = math.inf) -> float:
        """Wait until the machine is quiet, `most_s` have passed or the budget is spent; returns the seconds waited.

        The first look is free.
        """
        began_s = time.monotonic()
        while self._others is not None and not self._programs.stopped.is_set():
            ratio = self._others.ratio(self._programs.stopped)
            waited_s = time.monotonic() - began_s
            if not self.disturbed(ratio, self._others.window_s) or waited_s >= most_s:
                break
            if not self.spend(self._others.window_s):
                break
        return time.monotonic() - began_s
