"""How busy the machine was between two moments, by the kernel's several accounts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from steps.counters import MODES, Counters
from steps.measurement.monitors import monitor

_CPUIDLE: Final = Path("/sys/devices/system/cpu")
_CPUACCT: Final = Path("/sys/fs/cgroup/cpuacct/cpuacct.usage")
_BUSY: Final = ("user", "nice", "system", "irq", "softirq", "steal")

IDLE_TIME: Final = "1 - idle"
COLUMNS: Final = "busy columns"
SCALED: Final = "busy columns of all"
UPTIME: Final = "uptime"
RESIDENCY: Final = "cpuidle"
RUN_TIME: Final = "run time"
BESIDE: Final = "columns beside"
MEASURES: Final[Mapping[str, str]] = {
    IDLE_TIME: "1 - (idle + iowait) / wall, /proc/stat: what a run uses",
    COLUMNS: "user + nice + system + irq + softirq + steal of /proc/stat, over the wall time",
    SCALED: "the same over the sum of all columns",
    UPTIME: "1 - idle / wall, /proc/uptime",
    RESIDENCY: "1 - time in idle states / wall, cpuidle",
    RUN_TIME: "run time of all tasks by the scheduler's clock, cpuacct",
    BESIDE: "the columns but nice, where soakers show, while they lose that very progress: no other trial",
}


@dataclass(frozen=True, slots=True)
class CpuAccounts:
    """The accounts at one moment; None: this kernel does not keep that one. Seconds of all cores together.

    `switches`: context switches since boot.
    """

    counters: Counters
    uptime_idle_s: float | None
    residency_s: float | None
    run_time_s: float | None
    switches: int = 0


def read_accounts() -> CpuAccounts:
    """The accounts now."""
    counters = monitor.local("host")
    return CpuAccounts(
        counters=counters,
        uptime_idle_s=float(Path("/proc/uptime").read_text().split()[1]),
        residency_s=_sum(_CPUIDLE.glob("cpu[0-9]*/cpuidle/state*/time"), 1e6),
        run_time_s=_sum([_CPUACCT] if _CPUACCT.exists() else [], 1e9),
        switches=psutil.cpu_stats().ctx_switches,
    )


def switches_per_s(before: CpuAccounts, after: CpuAccounts) -> float:
    """Context switches a second: a trial with other ones is not the same trial."""
    return (after.switches - before.switches) / (after.counters.at_s - before.counters.at_s)


def busy_beside(before: CpuAccounts, after: CpuAccounts) -> float:
    """The busy columns but that of niced programs, which soakers are, as a share of all cores."""
    usage = monitor.usage(before.counters, after.counters, None, None)
    return sum(float(str(usage[f"{mode}_ratio"])) for mode in _BUSY if mode != "nice")


def _sum(files: Iterable[Path], per_s: float) -> float | None:
    figures = [int(file.read_text()) for file in files]
    return sum(figures) / per_s if figures else None


def busy(before: CpuAccounts, after: CpuAccounts) -> dict[str, float]:
    """How busy the machine was between two moments, as a share of all cores, by each measure that there is."""
    wall_s = (after.counters.at_s - before.counters.at_s) * len(after.counters.cores)
    usage = monitor.usage(before.counters, after.counters, None, None)
    columns = {mode: float(str(usage[f"{mode}_ratio"])) for mode in MODES}
    taken = sum(columns[mode] for mode in _BUSY)
    found = {IDLE_TIME: float(str(usage["busy_ratio"])), COLUMNS: taken, SCALED: taken / sum(columns.values())}
    for name, idle, one, two in (
        (UPTIME, True, before.uptime_idle_s, after.uptime_idle_s),
        (RESIDENCY, True, before.residency_s, after.residency_s),
        (RUN_TIME, False, before.run_time_s, after.run_time_s),
    ):
        if one is not None and two is not None:
            share = (two - one) / wall_s
            found[name] = 1 - share if idle else share
    return found
