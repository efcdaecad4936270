"""Recorded documents of iperf3, and what is read from them."""

import json
from typing import Any

import msgspec

from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tool import Output, Task
from tests.steps.builders import RECORDED


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


TCP = Task(transport="tcp", duration_s=1)
UDP = Task(transport="udp", duration_s=5)


def task_of(document: dict[str, Any]) -> Task:
    """The task of the test that a document is of."""
    start = document.get("start", {}).get("test_start") or {"protocol": "TCP", "num_streams": 1, "duration": 1}
    return Task(
        transport=start["protocol"].lower(),
        direction="reverse" if start.get("reverse") else "forward",
        streams=start["num_streams"],
        duration_s=start["duration"],
        omit_s=start.get("omit", 0),
        offered_bps=start.get("target_bitrate", 0) * start["num_streams"] or None,
    )


def planned(name: str) -> Task:
    """The task of a recorded test."""
    return task_of(json.loads(recorded(name)))


def report(name: str) -> IperfReport:
    found = iperf3.read(planned(name), (), Output(recorded(name)))
    assert isinstance(found, IperfReport)
    return found


def failure(stdout: bytes, stderr: bytes = b"", exit_code: int | None = 1) -> str:
    found = iperf3.read(TCP, (), Output(stdout, stderr, exit_code))
    assert isinstance(found, Failure)
    return found.reason


def figures(found: IperfReport) -> dict[str, Any]:
    kept = msgspec.structs.asdict(found)
    del kept["intervals"]
    return kept
