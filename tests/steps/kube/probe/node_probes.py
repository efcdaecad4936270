"""Node probes in this process: what they work on, and their reports."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from steps.cluster.kube.probe import connections, node_probe
from steps.cluster.kube.probe.connections import Target
from steps.cluster.kube.probe.node_probe import Spec
from steps.cluster.kube.workloads import probe_pods

Object = dict[str, Any]
LOCAL = "127.0.0.1"
TOKEN = "0123456789abcdef" * 2


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the probes report and try so often that no test waits for them."""
    monkeypatch.setattr(node_probe, "REPORT_S", 0.02)
    monkeypatch.setattr(connections, "EVERY_S", 0.02)
    monkeypatch.setattr(connections, "TICK_S", 0.01)
    monkeypatch.setattr(connections, "GIVES_UP_S", 0.3)
    monkeypatch.setattr(connections, "ASK_S", 0.02)


def free_port() -> int:
    with socket.create_server((LOCAL, 0)) as taken:
        return int(taken.getsockname()[1])


class Until:
    """Reads the reports, and ends the run at the wanted one."""

    def __init__(self, wanted: Callable[[Object], bool]) -> None:
        self.wanted = wanted
        self.last: Object = {}
        self.enough = asyncio.Event()

    def take(self, line: str) -> None:
        self.last = json.loads(line)
        assert probe_pods.parse(line.encode()) is not None, "the reader takes what the probe writes"
        if self.wanted(self.last):
            self.enough.set()

    async def reached(self) -> None:
        await self.enough.wait()


async def run(spec: Spec, wanted: Callable[[Object], bool]) -> Object:
    until = Until(wanted)
    async with asyncio.timeout(20):
        await node_probe.run(spec, until.take, until.reached())
    return until.last


async def so(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)


def spec(port: int, *, echo: int | None = None, dead: int | None = None) -> Spec:
    good = Target("good", "n", LOCAL, port)
    targets = (good,) if dead is None else (good, Target("dead", "n", LOCAL, dead))
    return Spec("n", LOCAL, host=False, token=TOKEN, targets=targets, lines=(good,), echo=echo)


def lines(report: Object) -> dict[str, Object]:
    return {line["protocol"]: line for line in report["lines"]}
