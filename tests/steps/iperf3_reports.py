"""Recorded documents of iperf3, and what is read from them."""

import json
from typing import Any

import msgspec

from steps.tools import iperf3
from steps.tools.failure import Failure
from steps.tools.iperf3 import Report
from steps.tools.iperf3_plan import Request
from tests.steps.builders import RECORDED


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


TCP = Request(protocol="tcp", duration_s=1)


UDP = Request(protocol="udp", duration_s=5)


def asked(name: str) -> Request:
    """What the recorded test was asked for."""
    start = json.loads(recorded(name))["start"]["test_start"]
    return Request(
        protocol=start["protocol"].lower(),
        reverse=bool(start["reverse"]),
        streams=start["num_streams"],
        duration_s=start["duration"],
        omit_s=start["omit"],
    )


def report(name: str) -> Report:
    found = iperf3.read_report(recorded(name), b"", 0, asked(name))
    assert isinstance(found, Report)
    return found


def failure(stdout: bytes, stderr: bytes = b"", exit_code: int | None = 1) -> str:
    found = iperf3.read_report(stdout, stderr, exit_code, TCP)
    assert isinstance(found, Failure)
    return found.reason


def figures(found: Report) -> dict[str, Any]:
    kept = msgspec.structs.asdict(found)
    del kept["intervals"]
    return kept
