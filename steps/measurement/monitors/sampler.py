"""Read the monitors of a trial before it, in intervals during it, and after it."""

import math
import threading
import time
from collections.abc import Iterable
from typing import Final, Self

from analysis.errors import Problem
from steps.counters import Counters
from steps.domain import LOCAL, Monitor
from steps.measurement.monitors import monitor
from steps.measurement.monitors.interference import ForeignCpu, ForeignCpuReading, foreign_ratio
from steps.tools.tool import interval_s

READINGS_OF_A_TRIAL: Final = 150
"""Of each node at most, and some more at its ends. One of a large node takes 150 kB of the step's 256 MiB, and a trial
may be measured three times."""

_JOIN_S: Final = 15
"""More than the time limit of the slowest monitor."""


def read_counters(monitored: Monitor) -> Counters:
    """The counters of a node now.

    Raises:
        Problem: the source can't be read.
    """
    if monitored.source == LOCAL:
        return monitor.local(monitored.node)
    if monitored.source.startswith("netns:"):
        return monitor.namespace(monitored.source.removeprefix("netns:"), monitored.node)
    from steps.measurement.monitors import monitor_http  # noqa: PLC0415 - slow to import, and needed on a cluster alone

    return monitor_http.fetch(monitored.source).model_copy(update={"node": monitored.node})


def reading_interval_s(duration_s: float) -> float:
    """The interval of the readings in a trial of so many seconds."""
    often_s = interval_s(duration_s)
    return (
        often_s if duration_s <= often_s * READINGS_OF_A_TRIAL else float(math.ceil(duration_s / READINGS_OF_A_TRIAL))
    )


class Sampler:
    """Reads all monitors on entering, each `interval_s` in a thread, and on leaving.

    A monitor that fails once is not read again and has no readings; `lost` has the reason.

    Attributes:
        lost: why a node has no readings, by node.
        foreign_cpu_ratio: the share of the CPU that foreign processes used meanwhile; None: unknown.
    """

    def __init__(self, monitors: Iterable[Monitor], interval_s: float, foreign: ForeignCpu | None = None) -> None:
        self._monitors = {m.node: m for m in monitors}
        self._interval_s = interval_s
        self._foreign = foreign
        self._readings: dict[str, list[Counters]] = {node: [] for node in self._monitors}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="sampler", daemon=True)
        self._foreign_before: ForeignCpuReading | None = None
        self.lost: dict[str, str] = {}
        self.foreign_cpu_ratio: float | None = None

    @property
    def readings(self) -> dict[str, tuple[Counters, ...]]:
        """The readings of each monitor that answered every time, in the order taken."""
        return {node: tuple(found) for node, found in self._readings.items() if node not in self.lost}

    def __enter__(self) -> Self:
        self._foreign_before = self._foreign.read() if self._foreign is not None else None
        self._read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(_JOIN_S)
        self._read()
        if self._foreign is not None:
            self.foreign_cpu_ratio = foreign_ratio(self._foreign_before, self._foreign.read())

    def _follow(self) -> None:
        began = time.monotonic()
        count = 1
        # Relative to the start, so that the duration of readings does not add up.
        while not self._done.wait(max(0.0, began + count * self._interval_s - time.monotonic())):
            self._read()
            count += 1

    def _read(self) -> None:
        for node, monitored in self._monitors.items():
            if node not in self.lost:
                try:
                    self._readings[node].append(read_counters(monitored))
                except Problem as problem:
                    self.lost[node] = str(problem)
