"""Read the counters of this node, by its own clock, and say what they mean for a window between two readings."""

import subprocess
import time
from functools import cache
from typing import Final

import psutil

from analysis.errors import Problem
from steps.counters import MODES, CoreTimes, Counters, InterfaceTraffic

STEAL_LIMIT_RATIO: Final = 0.02
"""More of the CPU than this taken by a hypervisor, and figures say as much about the neighbours."""

_COLUMN_TOLERANCE: Final = 0.05
_TICK_S: Final = 0.01
_NAMESPACE_TIMEOUT_S: Final = 5


def local(node: str) -> Counters:
    """This machine's counters now, under the name of `node`."""
    at_s = time.monotonic()
    times = psutil.cpu_times(percpu=True)
    traffic = psutil.net_io_counters(pernic=True, nowrap=False)
    return Counters(
        node=node,
        at_s=at_s,
        cores=tuple(CoreTimes.model_validate({mode: getattr(core, mode) for mode in MODES}) for core in times),
        memory_used_bytes=psutil.virtual_memory().used,
        interfaces={
            n: InterfaceTraffic(sent_bytes=t.bytes_sent, received_bytes=t.bytes_recv, mtu_bytes=_mtu_bytes().get(n))
            for n, t in traffic.items()
        },
    )


@cache
def _mtu_bytes() -> dict[str, int]:
    """Of each interface. Asked once: it costs a call for each, and a pod's is set when the pod is made."""
    return {name: found.mtu for name, found in psutil.net_if_stats().items()}


def namespace(name: str, node: str) -> Counters:
    """The interface counters of a named network namespace on this machine, under the name of `node`.

    Raises:
        Problem: they can't be read.
    """
    # /proc/self/net follows the reading process, so the reader has to be inside.
    command = ["nsenter", f"--net=/run/netns/{name}", "cat", "/proc/self/net/dev"]
    at_s = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_NAMESPACE_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise Problem("nsenter is missing: install util-linux") from None
    except subprocess.TimeoutExpired:
        raise Problem(f"the counters of namespace {name} took over {_NAMESPACE_TIMEOUT_S} s to read") from None
    if done.returncode != 0:
        raise Problem(f"the counters of namespace {name} can't be read: {done.stderr.strip()}")
    return Counters(node=node, at_s=at_s, interfaces=interfaces(done.stdout))


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

    Ratios are of all cores together. A window or a core that can't be compared gives None.

    Args:
        before: the first reading.
        after: the second.
        side: client, server, both or nat; None: not known.
        baseline_ratio: how busy the node would have been with nothing sent; None: not known.
    """
    wall_s = after.at_s - before.at_s
    comparable = wall_s > 0 and len(before.cores) == len(after.cores) > 0
    deltas = _deltas(before, after) if comparable else []
    row: dict[str, object] = {"node": after.node, "side": side, "cores": len(after.cores) or None}
    for mode in MODES:
        row[f"{mode}_ratio"] = _share(sum(d[mode] for d in deltas), wall_s * len(deltas)) if deltas else None
    busy = busy_ratio(before, after)
    row["busy_ratio"] = busy
    row["busy_above_idle_ratio"] = busy - baseline_ratio if busy is not None and baseline_ratio is not None else None
    for mode in ("softirq", "steal"):
        row[f"{mode}_by_core_ratio"] = [_share(d[mode], wall_s) for d in deltas] if deltas else None
    row["memory_used_bytes"] = after.memory_used_bytes
    return row


def _share(part_s: float, whole_s: float) -> float | None:
    """A ratio; None where a counter went back, as the kernel's iowait and idle may by a tick."""
    return part_s / whole_s if part_s >= 0 else None


def busy_ratio(before: Counters, after: Counters) -> float | None:
    """1 - (idle + iowait) / wall, of all cores, 0 to 1.

    The busy columns are not summed: they are sampled at ticks, which beat with a paced sender's own timer.
    """
    wall_s = (after.at_s - before.at_s) * len(after.cores)
    if wall_s <= 0 or len(before.cores) != len(after.cores):
        return None
    unused_s = sum(d["idle"] + d["iowait"] for d in _deltas(before, after))
    return min(1.0, max(0.0, 1 - unused_s / wall_s))


def window_flags(before: Counters, after: Counters) -> tuple[str, ...]:
    """Flags on a window, whose meaning is in `analysis.flags`.

    `cpu-idle`: a core's idle time runs backwards, or beyond the wall time, so that nothing says how busy it was.
    `cpu-columns`: the columns don't add up to the wall time, so that the busy ones, which are sampled at ticks, don't
    say what the CPU was busy with. `steal`: a hypervisor took CPU. `cpu-unknown`: the readings can't be compared.
    """
    wall_s = after.at_s - before.at_s
    if wall_s <= 0 or not after.cores or len(before.cores) != len(after.cores):
        return ("cpu-unknown",) if after.cores else ()
    cores = len(after.cores)
    deltas = _deltas(before, after)
    # Counters come in ticks, so a short window can't be held to the ratio alone.
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


def _deltas(before: Counters, after: Counters) -> list[dict[str, float]]:
    pairs = zip(before.cores, after.cores, strict=True)
    return [{mode: getattr(b, mode) - getattr(a, mode) for mode in MODES} for a, b in pairs]
