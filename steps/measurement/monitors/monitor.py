"""Read the counters of this node, by its own clock, and derive CPU use and doubts from two readings."""

import time
from functools import cache
from pathlib import Path
from typing import Final

import psutil

from analysis.errors import Problem
from steps import namespaces
from steps.counters import MODES, CoreTimes, Counters, InterfaceTraffic

STEAL_LIMIT_RATIO: Final = 0.02
"""The most of the CPU that a hypervisor may take before a window is flagged."""

_COLUMN_TOLERANCE: Final = 0.05
_TICK_S: Final = 0.01


def local(node: str) -> Counters:
    """This machine's counters now, under the name of `node`."""
    at_s = time.monotonic()
    times = psutil.cpu_times(percpu=True)
    traffic = psutil.net_io_counters(pernic=True, nowrap=False)
    return Counters(
        node=node,
        at_s=at_s,
        machine=machine(),
        cores=tuple(CoreTimes.model_validate({mode: getattr(core, mode) for mode in MODES}) for core in times),
        memory_used_bytes=psutil.virtual_memory().used,
        interfaces={
            n: InterfaceTraffic(sent_bytes=t.bytes_sent, received_bytes=t.bytes_recv, mtu_bytes=_mtu_bytes().get(n))
            for n, t in traffic.items()
        },
    )


@cache
def machine() -> str | None:
    """The boot id of this machine's kernel; None: unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


@cache
def _mtu_bytes() -> dict[str, int]:
    """Of each interface; read once, since a pod's is set when the pod is made."""
    return {name: found.mtu for name, found in psutil.net_if_stats().items()}


def namespace(name: str, node: str) -> Counters:
    """The interface counters of a named network namespace on this machine, under the name of `node`.

    Raises:
        Problem: they can't be read.
    """
    at_s = time.monotonic()
    try:
        table = namespaces.within(name, lambda: Path("/proc/thread-self/net/dev").read_text())
    except OSError as error:
        raise Problem(f"the counters of namespace {name} can't be read: {error.strerror or error}") from None
    return Counters(node=node, at_s=at_s, interfaces=interfaces(table))


def interfaces(text: str) -> dict[str, InterfaceTraffic]:
    """The table of /proc/net/dev by interface."""
    found = {}
    for line in text.splitlines():
        name, colon, figures = line.partition(":")
        if colon:
            columns = figures.split()
            found[name.strip()] = InterfaceTraffic(received_bytes=int(columns[0]), sent_bytes=int(columns[8]))
    return found


def usage(before: Counters, after: Counters, side: str | None, baseline_ratio: float | None) -> dict[str, object]:
    """CPU and memory between two readings of one node, as a row of `analysis.store.schema.NODE_USAGE`.

    Ratios are of all cores together; None where the readings can't be compared.

    `side`: client, server, both or nat; None: unknown. `baseline_ratio`: how busy the idle node is; None: unknown.
    """
    wall_s, deltas = core_seconds(before, after)
    busy = busy_ratio(before, after)
    return {
        "node": after.node,
        "side": side,
        "cores": len(after.cores) or None,
        **{f"{mode}_ratio": _share(sum(d[mode] for d in deltas), wall_s * len(deltas)) for mode in MODES},
        "busy_ratio": busy,
        "busy_above_idle_ratio": busy - baseline_ratio if busy is not None and baseline_ratio is not None else None,
        **{
            f"{mode}_by_core_ratio": [_share(d[mode], wall_s) for d in deltas] if deltas else None
            for mode in ("softirq", "steal")
        },
        "memory_used_bytes": after.memory_used_bytes,
    }


def _share(part_s: float, whole_s: float) -> float | None:
    """A ratio; None where nothing is known, or a counter decreased, as the kernel's iowait and idle may by a tick."""
    return part_s / whole_s if whole_s > 0 and part_s >= 0 else None


def busy_ratio(before: Counters, after: Counters) -> float | None:
    """1 - (idle + iowait) / wall, of all cores, 0 to 1.

    The busy columns are not summed: they are sampled at ticks, which alias with a paced sender's timer.
    """
    wall_s, deltas = core_seconds(before, after)
    if not deltas:
        return None
    return min(1.0, max(0.0, 1 - sum(d["idle"] + d["iowait"] for d in deltas) / (wall_s * len(deltas))))


def window_flags(before: Counters, after: Counters) -> tuple[str, ...]:
    """Flags on a window, whose meaning is in `analysis.flags`.

    `cpu-idle`: a core's idle time runs backwards, or beyond the wall time, so that its use is unknown.
    `cpu-columns`: the columns don't add up to the wall time, so that use by mode is unreliable.
    `steal`: a hypervisor took CPU. `cpu-unknown`: the readings can't be compared.
    """
    wall_s, deltas = core_seconds(before, after)
    if not deltas:
        return ("cpu-unknown",) if after.cores else ()
    cores = len(deltas)
    # Counters advance in ticks, so a short window needs an absolute allowance.
    allowed_core_s = max(_COLUMN_TOLERANCE * wall_s, 2 * _TICK_S)
    flags = []
    unused_s = [d["idle"] + d["iowait"] for d in deltas]
    if not all(-allowed_core_s <= unused <= wall_s + allowed_core_s for unused in unused_s):
        flags.append("cpu-idle")
    if abs(sum(sum(d.values()) for d in deltas) - wall_s * cores) > allowed_core_s * cores:
        flags.append("cpu-columns")
    if sum(d["steal"] for d in deltas) > STEAL_LIMIT_RATIO * wall_s * cores:
        flags.append("steal")
    return tuple(flags)


def core_seconds(before: Counters, after: Counters) -> tuple[float, list[dict[str, float]]]:
    """Seconds between two readings, and the seconds of each core by mode; no cores where they can't be compared."""
    wall_s = after.at_s - before.at_s
    if wall_s <= 0 or len(before.cores) != len(after.cores):
        return wall_s, []
    pairs = zip(before.cores, after.cores, strict=True)
    return wall_s, [{mode: getattr(b, mode) - getattr(a, mode) for mode in MODES} for a, b in pairs]
