"""Use the CPU time that nothing else uses, to measure how much others take, independently of the kernel's accounts.

One process a core, pinned to it and of the lowest priority there is (SCHED_IDLE), does nothing but read the clock.
While it runs, two readings lie a fraction of a microsecond apart. Where they lie further apart it was not running,
since the core was taken from it: by a program, an interrupt, the kernel's network code or a hypervisor. The sum of
these gaps is the progress that it lost. What the kernel believes that anybody used plays no part in it, and neither
does how fast the core happens to be, which on a virtual machine changes by a tenth from one second to the next.
"""

import mmap
import os
import signal
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

GAP_NS: Final = 1000
"""Two readings of the clock are about 0.1 µs apart in Python; the shortest interrupt takes a few microseconds."""

_NICE: Final = 19


@dataclass(frozen=True, slots=True)
class Progress:
    """What the soakers have lost until a moment, in seconds, by core."""

    at_s: float
    lost_s: tuple[float, ...]


class Soakers:
    """A soaker on each core that this process may use; they are stopped until they are resumed, and end with `with`."""

    def __init__(self) -> None:
        self.cores: Final = tuple(sorted(os.sched_getaffinity(0)))
        self._shared = mmap.mmap(-1, 8 * len(self.cores))
        self._lost = memoryview(self._shared).cast("Q")
        self.pids: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        pids = []
        for slot, core in enumerate(self.cores):
            pid = os.fork()
            if pid == 0:
                try:
                    _soak(core, self._lost, slot)
                finally:
                    os._exit(1)
            pids.append(pid)
        self.pids = tuple(pids)
        self.pause()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        for pid in self.pids:
            os.waitpid(pid, 0)

    def pause(self) -> None:
        """Stop them: from now on they take nothing, and lose nothing that counts."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them take what nobody else wants."""
        self._signal(signal.SIGCONT)

    def read(self) -> Progress:
        """What they have lost since they were started; only differences while they run have a meaning."""
        return Progress(time.monotonic(), tuple(lost / 1e9 for lost in self._lost))

    def _signal(self, number: int) -> None:
        for pid in self.pids:
            os.kill(pid, number)


def lost_ratio(before: Progress, after: Progress) -> float:
    """The share of all cores that others took between two readings, 0 to 1."""
    wall_s = (after.at_s - before.at_s) * len(after.lost_s)
    return (sum(after.lost_s) - sum(before.lost_s)) / wall_s


def _soak(core: int, lost: memoryview, slot: int) -> None:
    os.sched_setaffinity(0, {core})
    os.nice(_NICE)  # so that /proc/stat counts it apart from everything else
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    clock, gap_ns, total = time.monotonic_ns, GAP_NS, 0
    now = clock()
    while True:
        then = now
        now = clock()
        if now - then > gap_ns:
            total += now - then
            lost[slot] = total
