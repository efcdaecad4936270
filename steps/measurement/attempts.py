"""One run of a measuring program at the client's place, with the counters read before, during and after it."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

import psutil

from analysis.errors import Problem
from steps.counters import Counters
from steps.documents import Attempt
from steps.domain import LOCAL, Placement
from steps.measurement.monitors import monitor, node_load
from steps.measurement.monitors.interference import ForeignCpu, Others
from steps.measurement.monitors.node_load import NodeLoad
from steps.measurement.monitors.sampler import Sampler, read_counters
from steps.measurement.subprocesses import Programs
from steps.namespaces import command_in
from steps.tools.tool import Output, Task, Tool

_BUSY_WAIT_S: Final = 5.0
_BUSY_STEP_S: Final = 0.1
_LINK_TIMEOUT_S: Final = 5


@dataclass(frozen=True, slots=True)
class MeasuringClient:
    """The client's end of a placement, from which programs are run one at a time.

    `foreign`: of this machine, in the lab; None where the counters of nodes tell what others use, or nothing does.
    """

    placement: Placement
    programs: Programs
    foreign: ForeignCpu | None
    nodes: NodeLoad | None = None

    @classmethod
    def of(cls, placement: Placement, programs: Programs, foreign: ForeignCpu | None = None) -> Self:
        """The client of a placement, which watches what others use where the placement demands it."""
        if not placement.gate_foreign_cpu:
            return cls(placement, programs, None)
        if all(monitored.source == LOCAL for monitored in placement.monitors):
            return cls(placement, programs, foreign or ForeignCpu())
        return cls(placement, programs, None, NodeLoad(placement.monitors))

    @property
    def others(self) -> Others | None:
        """What tells how much others use now."""
        return self.foreign or self.nodes

    def others_ratio(self, tool: Tool, task: Task, attempt: Attempt) -> float | None:
        """The share of the CPU that others used during an attempt; None: unknown."""
        if self.nodes is None:
            return attempt.foreign_cpu_ratio
        own = tool.own_cpu(task, Output(attempt.stdout.encode(errors="backslashreplace")))
        return node_load.others_ratio(self.placement.monitors, attempt.readings, own, monitor.machine())

    def attempt(
        self, tool: Tool, command: Sequence[str], interval_s: float, *, timeout_s: float, output_bytes: int
    ) -> tuple[Attempt, dict[str, str]]:
        """Run a tool's client once its server is free. Returns the attempt, and why monitors were lost.

        `interval_s`: of the readings of monitors. After `timeout_s` the program is killed; at more than `output_bytes`
        on one of its outputs, too.
        """
        argv = command_in(self.placement.namespace, command)
        patience = time.monotonic() + _BUSY_WAIT_S
        while True:
            started_at = datetime.now(UTC)
            nat = [self._nat_reading()]
            with Sampler(self.placement.monitors, interval_s, self.foreign) as sampler:
                began = time.monotonic()
                finished = self.programs.run(argv, timeout_s, output_bytes)
                wall_s = time.monotonic() - began
            nat.append(self._nat_reading())
            if not tool.is_busy(finished.stdout) or time.monotonic() > patience or self.programs.stopped.is_set():
                break
            self.programs.stopped.wait(_BUSY_STEP_S)
        attempt = Attempt(
            started_at=started_at,
            argv=argv,
            stdout=finished.stdout.decode(errors="backslashreplace"),
            stderr=finished.stderr.decode(errors="backslashreplace"),
            exit_code=finished.exit_code,
            wall_s=wall_s,
            readings=sampler.readings,
            nat=tuple(reading for reading in nat if reading is not None),
            foreign_cpu_ratio=sampler.foreign_cpu_ratio,
            error=finished.error,
        )
        return attempt, sampler.lost

    def mtu_bytes(self) -> int | None:
        """The MTU of the client's interface; None: unknown."""
        name, namespace = self.placement.interface, self.placement.namespace
        if name is None:
            return None
        if namespace is None:
            found = psutil.net_if_stats().get(name)
            return found.mtu if found is not None else None
        command = command_in(namespace, ("ip", "-json", "link", "show", "dev", name))
        try:
            shown = subprocess.run(command, capture_output=True, timeout=_LINK_TIMEOUT_S, check=True).stdout
            return int(json.loads(shown)[0]["mtu"])
        except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
            return None

    def _nat_reading(self) -> Counters | None:
        if self.placement.nat_monitor is None:
            return None
        try:
            return read_counters(self.placement.nat_monitor)
        except Problem:
            return None


def lost_monitor_flags(*lost: dict[str, str]) -> tuple[str, ...]:
    """A flag for each reason why a monitor was lost."""
    return tuple(f"monitor-lost: {reason}" for reason in sorted({reason for each in lost for reason in each.values()}))
