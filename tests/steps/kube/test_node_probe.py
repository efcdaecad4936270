import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from steps.cluster.kube.probe import connections, echo, node_probe, rest
from steps.cluster.kube.probe.connections import HeldConnection, Target, TargetResult
from steps.cluster.kube.probe.node_probe import Spec
from steps.cluster.kube.probe.rest import Messages, Rest
from steps.cluster.kube.workloads import probe_pods

Object = dict[str, Any]
LOCAL = "127.0.0.1"
TOKEN = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_probe_separates_reachable_from_unreachable() -> None:
    port, dead = free_port(), free_port()

    def enough(report: Object) -> bool:
        good, bad = report["answers"]
        return bool(good["ok_at"] and bad["failed"] > 1 and all(line["received"] > 3 for line in report["lines"]))

    report = asyncio.run(run(spec(port, echo=port, dead=dead), enough))
    good, bad = report["answers"]
    assert (bad["ok_at"], bad["error"], bad["failed_since_ok"]) == (None, "connection refused", 0)
    assert bad["failed_at"] > bad["since"]
    assert good["target"] == "good"
    held = lines(report)
    assert held["tcp"]["connected"] == 1
    assert held["tcp"]["dropped"] == 0
    assert held["udp"]["received"] <= held["udp"]["sent"]
    assert report["host"] is None


def test_probe_counts_new_connections_that_fail_after_a_first_success() -> None:
    result = TargetResult("t", "n")
    result.fail("connection refused")
    result.ok_at = "2026-11-26T00:00:00Z"
    result.fail("timed out")
    assert (result.failed, result.failed_since_ok, result.error) == (2, 1, "timed out")


def test_probe_counts_a_closed_connection_and_reconnects() -> None:
    async def scenario() -> Object:
        writers: list[asyncio.StreamWriter] = []

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            with suppress(OSError):
                data = await reader.read(1)
                writer.write(data)
                await writer.drain()
            writer.transport.abort()

        server = await asyncio.start_server(once, LOCAL, 0)
        port = server.sockets[0].getsockname()[1]
        line = Target("l", "n", LOCAL, port)
        spec = Spec("n", LOCAL, host=False, token=TOKEN, targets=(), lines=(line,))
        try:
            return await run(spec, lambda report: lines(report)["tcp"]["dropped"] >= 2)
        finally:
            server.close()

    held = lines(asyncio.run(scenario()))["tcp"]
    assert held["connected"] >= held["dropped"] >= 2


def test_probe_does_not_count_a_connection_never_established() -> None:
    port = free_port()
    dead = Target("l", "n", LOCAL, port)
    silent = Spec("n", LOCAL, host=False, token=TOKEN, targets=(dead,), lines=(dead,))
    held = lines(asyncio.run(run(silent, lambda report: report["answers"][0]["failed"] > 2)))
    assert (held["tcp"]["connected"], held["tcp"]["dropped"]) == (0, 0)
    assert held["udp"]["received"] == 0


def test_probe_counts_the_current_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.1, 14.0, 20.0])
    monkeypatch.setattr("steps.cluster.kube.probe.connections.time", SimpleNamespace(monotonic=clock.__next__))
    held = HeldConnection("l", "tcp")
    assert held.as_json()["longest_gap_s"] == 0.0
    held.count_reply()
    held.count_reply()
    assert held.as_json() == {
        "name": "l",
        "protocol": "tcp",
        "connected": 0,
        "dropped": 0,
        "sent": 0,
        "received": 2,
        "silent_s": 3.9,
        "longest_gap_s": 3.9,
    }
    held.count_reply()
    assert held.longest_gap_s == pytest.approx(9.9)


def test_probes_rest_and_wake_on_request() -> None:
    """A client learns it from the server: it sends nothing more, and counts anew when it is woken."""
    port = free_port()
    server, client = spec(port, echo=port), spec(port)
    reports: list[Object] = []
    rested = asyncio.Event()

    async def scenario() -> tuple[Object, Object]:
        woken = Until(lambda report: len(reports) > 0 and not report["rests"] and lines(report)["tcp"]["received"] > 2)

        def take(line: str) -> None:
            report = json.loads(line)
            if rested.is_set():
                woken.take(line)
            elif report["rests"]:
                reports.append(report)

        async with asyncio.timeout(20):
            over = asyncio.Event()
            serving = asyncio.ensure_future(node_probe.run(server, lambda _line: None, over.wait()))
            asking = asyncio.ensure_future(node_probe.run(client, take, woken.reached()))
            while not await asyncio.to_thread(rest.tell, LOCAL, port, TOKEN, begins=True):
                pass  # it does not listen yet
            count = 0
            while not reports or len(reports) > count:  # until it reports no more
                count = len(reports)
                await asyncio.sleep(10 * node_probe.REPORT_S)
            rested.set()
            assert await asyncio.to_thread(rest.tell, LOCAL, port, TOKEN, begins=False)
            await asking
            over.set()
            await serving
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        return reports[-1], woken.last

    quiet, awake = asyncio.run(scenario())
    assert lines(quiet)["tcp"]["dropped"] == 0
    assert awake["answers"][0]["since"] > quiet["at"]
    assert lines(awake)["tcp"]["connected"] == 1, "the connections are new, and their counts too"


def test_connection_without_its_reply_stays_open_while_the_probe_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "DEAD_S", 1)

    async def scenario() -> Object:
        messages = Messages.of(TOKEN)

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(len(messages.request))
            writer.write(messages.reply)
            with suppress(asyncio.IncompleteReadError):
                await reader.readexactly(len(messages.request))
                resting.awake.clear()  # this request is never answered
                await reader.read()
            writer.close()

        resting, held = Rest(messages, learns=True), HeldConnection("l", "tcp")
        async with await asyncio.start_server(once, LOCAL, 0) as server, asyncio.timeout(20):
            line = Target("l", "n", LOCAL, server.sockets[0].getsockname()[1])
            holding = asyncio.ensure_future(connections.hold_tcp(line, held, resting))
            await so(lambda: resting.now and held.as_json()["silent_s"] > 0)
            assert not held.closed
            await so(lambda: held.closed)
            holding.cancel()
        return held.as_json()

    held = asyncio.run(scenario())
    assert (held["connected"], held["received"], held["dropped"], held["silent_s"]) == (1, 1, 1, 0.0)


def test_node_probe_rests_only_by_its_token() -> None:
    port = free_port()

    async def scenario() -> tuple[bool, bool]:
        async with contextlib.AsyncExitStack() as stack:
            own = Rest(Messages.of(TOKEN), learns=False)
            await echo.serve_echo(port, own, stack, LOCAL)
            wrong = await asyncio.to_thread(rest.tell, LOCAL, port, TOKEN[::-1], begins=True)
            assert not own.now
            assert own.understands(own.messages.rest)
            return wrong, own.now

    assert asyncio.run(scenario()) == (False, False), "nor does a server heed another one's reply"
    assert not rest.tell(LOCAL, port, TOKEN, begins=True), "nobody listens there"


def test_probe_of_host_interfaces() -> None:
    state = node_probe.host(LOCAL)
    assert "lo" in state["interfaces"]
    assert (state["uplink"], state["uplink_mtu_bytes"]) == ("lo", 65536)
    assert state["felix_started_at"] is None or state["felix_started_at"]
    line = {"at": state["at"], "node": "n", "host": state, "answers": [], "lines": []}
    assert probe_pods.parse(json.dumps(line).encode()) is not None


def test_probe_remembers_felix_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, None, None])

    def state(_address: str) -> Object:
        return {"at": connections.now(), "felix_ready": next(answers, None)}

    monkeypatch.setattr(node_probe, "host", state)
    silent = Spec("n", LOCAL, host=True, token=TOKEN, targets=(), lines=())
    report = asyncio.run(run(silent, lambda report: report["host"] and report["host"]["felix_ready"] is None))
    assert report["host"]["felix_answered_at"] < report["host"]["at"]


def test_felix_start_time_from_metrics() -> None:
    metrics = "# HELP x\nprocess_start_time_seconds 1.795461600e+09\nother 1\n"
    assert node_probe._started(metrics) == "2026-11-23T19:20:00+00:00"
    assert node_probe._started("process_start_time_seconds nan\n") is None
    assert node_probe._started(None) is None


def test_probe_specification_round_trip() -> None:
    whole = spec(5204, echo=5204, dead=1)
    assert Spec.parse(whole.text()) == whole
    for text in ("{}", "[]", '{"node": "n"}', "nonsense", '{"node":"n","address":"a","host":true,"targets":[{"x":1}]}'):
        with pytest.raises(ValueError, match=r".+"):
            Spec.parse(text)


def test_probe_command_line_errors() -> None:
    def call(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "steps.cluster.kube.probe.node_probe", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stderr

    code, report = call("{}")
    assert (code, report.splitlines()[0]) == (2, "usage: python -m steps.cluster.kube.probe.node_probe SPEC")
    assert call()[0] == 2
    with socket.create_server((LOCAL, 0)) as taken:
        port = taken.getsockname()[1]
        code, report = call(spec(port, echo=port).text())
    assert (code, report.startswith(f"node probe: port {port} is unavailable")) == (1, True)
    assert "Traceback" not in report
