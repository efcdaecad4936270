"""Shapes of iperf3's traffic: both directions at once in the documents of several versions, streams and messages."""

import json
from typing import Any

import pytest

from steps.catalogue.tools import BY_NAME, VARIANTS
from steps.settings.schedule import make_schedule
from steps.tools.failure import Failure
from steps.tools.iperf3 import shapes
from steps.tools.iperf3.shapes import BothWays
from steps.tools.tool import Output, Task
from tests.steps.builders import RECORDED, settings

BOTH = BY_NAME["tcp_both"]
ONE = Task(transport="tcp", duration_s=1)
RECORDED_TESTS = {
    "tcp-both-3.12": ONE,
    "tcp-both-3.18": ONE,
    "tcp-both-3.22": ONE,
    "tcp-both-omit-p2-3.18-against-3.12": Task(transport="tcp", duration_s=1, streams=2, omit_s=1),
}


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / "versions" / f"{name}.json").read_bytes())
    return found


def read(task: Task, found: dict[str, Any]) -> BothWays | Failure:
    got = BOTH.read(task, (), Output(json.dumps(found).encode()))
    assert isinstance(got, BothWays | Failure)
    return got


@pytest.mark.parametrize("name", RECORDED_TESTS)
def test_each_direction_is_what_its_own_streams_delivered(name: str) -> None:
    found, task = document(name), RECORDED_TESTS[name]
    got = read(task, found)
    assert isinstance(got, BothWays)
    arrived = {True: 0.0, False: 0.0}
    for stream in found["end"]["streams"]:
        arrived[stream["sender"]["sender"]] += stream["receiver"]["bits_per_second"]
    assert got.columns["forward_bps"] == pytest.approx(arrived[True], rel=0.02)
    assert got.columns["reverse_bps"] == pytest.approx(arrived[False], rel=0.02)
    assert got.columns["received_bps"] == pytest.approx(sum(arrived.values()), rel=0.02)
    assert set(got.columns) <= {*BOTH.variants[0].figures, "received_bps"}
    assert {sample["side"] for sample in got.samples} == {"sender", "receiver"}


@pytest.mark.parametrize(("sender", "way"), [(True, "forward"), (False, "reverse")])
def test_iperf3_direction_that_delivered_nothing_is_named(sender: bool, way: str) -> None:  # noqa: FBT001
    found = document("tcp-both-3.18")
    for stream in found["end"]["streams"]:
        if stream["sender"]["sender"] == sender:
            stream["receiver"]["bytes"] = 0
    got = read(ONE, found)
    assert isinstance(got, Failure)
    assert got.reason == f"{way}: stream 1 of 1 delivered nothing"


def test_iperf3_document_of_one_direction_is_none_of_both() -> None:
    found = document("tcp-both-3.12")
    del found["end"]["sum_received_bidir_reverse"]
    assert read(ONE, found) == Failure("iperf3's JSON is of one direction, and both were requested at once")


def test_shapes_decide_their_streams_and_messages_whatever_is_requested() -> None:
    chosen = settings(options="protocols=tcp,tcp-8,tcp-64b streams=3 block_size=4096 rounds=1")
    streams = {trial.tool: trial.streams for visit in make_schedule(chosen) for trial in visit.trials}
    assert streams == {"iperf3": 3, "tcp_8": 8, "tcp_64b": 1}
    task = Task(transport="tcp", streams=8, block_size_bytes=4096)
    for name, block in (("tcp_8", "4096"), ("tcp_64b", "64")):
        argv = BY_NAME[name].command(task, "10.0.0.1", 5201)
        assert argv[argv.index("-l") + 1] == block
    assert "--bidir" in BOTH.command(task, "10.0.0.1", 5201)


def test_shapes_are_served_by_iperf3() -> None:
    assert {tool.served_by for tool in shapes.TOOLS} == {"iperf3"}
    assert {"tcp-8", "tcp-both", "tcp-64b"} <= VARIANTS.keys()
