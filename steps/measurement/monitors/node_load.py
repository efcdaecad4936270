"""How much CPU others use on the nodes of a cluster, by the nodes' own monitors.

What others use is the user, nice and system time of a node, less what the measuring programs report of themselves. The
time in which the kernel forwards packets is in none of them: it is softirq.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Final

from analysis.errors import Problem
from steps.counters import Counters
from steps.domain import Monitor
from steps.measurement.monitors import monitor
from steps.measurement.monitors.sampler import read_counters
from steps.tools.tool import OwnCpu

_MODES: Final = ("user", "nice", "system")


def others_ratio(
    monitors: Sequence[Monitor],
    readings: Mapping[str, Sequence[Counters]],
    own: OwnCpu | None,
    client_machine: str | None,
) -> float | None:
    """The share of all its cores that others used on the node where they used most, 0 to 1; None: unknown.

    A node is left out where its counters, or the use of a measuring program there, are unknown. Nodes of one machine
    have the same counters, in which both programs are.

    `readings`: of each node, in the order taken. `own`: what the measuring programs used between the first reading and
    the last; None: none ran. `client_machine`: on which the client ran; None: unknown.
    """
    taken = {m.node: found for m in monitors if len(found := readings.get(m.node, ())) > 1}
    machines = {node: found[-1].counted_at for node, found in taken.items()}
    programs: list[tuple[str | None, float | None]] = []
    if own is not None:
        near = next((machines.get(m.node) for m in monitors if m.side in {"client", "both"}), client_machine)
        far = next((machines.get(m.node) for m in monitors if m.side in {"server", "both"}), None)
        programs = [(near, own.client_s), (far, own.server_s)]
    ratios = []
    for node, found in taken.items():
        wall_s, deltas = monitor.core_seconds(found[0], found[-1])
        used_s, available_s = sum(core[mode] for core in deltas for mode in _MODES), wall_s * len(deltas)
        parts = [used for machine, used in programs if machine == machines[node]]
        known = [part for part in parts if part is not None]
        if available_s > 0 and len(known) == len(parts):
            ratios.append(min(1.0, max(0.0, (used_s - sum(known)) / available_s)))
    return max(ratios, default=None)


class NodeLoad:
    """What others use on the nodes of a placement while none of the measuring programs runs."""

    window_s: float = 0.2

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        self._monitors = tuple(monitors)

    def ratio(self, stopped: threading.Event) -> float | None:
        """The share of the CPU that they use in the next `window_s`; None: unknown."""
        before = self._read()
        stopped.wait(self.window_s)
        after = self._read()
        both = {node: (before[node], after[node]) for node in before.keys() & after.keys()}
        return others_ratio(self._monitors, both, None, None)

    def _read(self) -> dict[str, Counters]:
        found = {}
        for monitored in self._monitors:
            try:
                found[monitored.node] = read_counters(monitored)
            except Problem:  # the trial itself reports the lost monitor
                continue
        return found
