import asyncio
import json
import socket
import subprocess
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest

from steps.cluster.kube.probe import connections, node_probe
from steps.cluster.kube.probe.agent import Agent
from steps.cluster.kube.probe.connections import HeldConnection, Target, TargetResult
from steps.cluster.kube.probe.node_probe import Spec
from steps.cluster.kube.workloads import probe_pods
from tests.steps.kube.probe.node_probes import LOCAL, TOKEN, Object, free_port, hurry, lines, run, spec


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


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


def test_probe_of_host_interfaces() -> None:
    state = node_probe.host(LOCAL, Agent())
    assert "lo" in state["interfaces"]
    assert (state["uplink"], state["uplink_mtu_bytes"]) == ("lo", 65536)
    assert (state["agent_ready"], state["agent_started_at"], state["agent"]) == (None, None, None)
    line = {"at": state["at"], "node": "n", "host": state, "answers": [], "lines": []}
    assert probe_pods.parse(json.dumps(line).encode()) is not None


def test_probe_remembers_when_the_agent_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, None, None])

    def state(*_: object) -> Object:
        return {"at": connections.now(), "agent_ready": next(answers, None)}

    monkeypatch.setattr(node_probe, "host", state)
    silent = Spec("n", LOCAL, host=True, token=TOKEN, targets=(), lines=())
    report = asyncio.run(run(silent, lambda report: report["host"] and report["host"]["agent_ready"] is None))
    assert report["host"]["agent_answered_at"] < report["host"]["at"]


def test_probe_asks_the_agent_that_the_network_plugin_describes() -> None:
    pages = {"/ready": "", "/metrics": "process_start_time_seconds 1.795461600e+09\ntoy_policies 3\nother 1\n"}

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOCAL, 0), Pages) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        agent = Agent(f"{port}/ready", f"{port}/metrics", "toy_policies", pod_interfaces=("lo",))
        found = node_probe.host(LOCAL, agent)
        silent = node_probe.host(LOCAL, Agent(f"{port}/gone"))
        server.shutdown()
    assert (found["agent_ready"], found["agent_started_at"]) == (True, "2026-11-23T19:20:00+00:00")
    assert found["agent"] == {"process_start_time_seconds": 1.7954616e9, "toy_policies": 3.0}
    assert "lo" not in found["interfaces"]
    assert (silent["agent_ready"], silent["agent"]) == (False, None)


def test_agent_start_time_from_metrics() -> None:
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
