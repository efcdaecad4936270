import contextlib
import queue
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import Problem
from analysis.schema import NODE_USAGE
from steps import monitor, monitor_http
from steps.counters import MODES, Core, Counters
from steps.sampler import read
from tests.steps.builders import counters

deltas = st.fixed_dictionaries({mode: st.floats(0, 1) for mode in MODES})


def core(**seconds: float) -> Core:
    return Core.model_validate({mode: seconds.get(mode, 0.0) for mode in MODES})


def test_usage_fills_the_schema_and_nothing_else() -> None:
    row = monitor.usage(counters(1.0), counters(2.0, busy=0.5), "both", 0.1)
    assert set(row) == {NODE_USAGE.field(i).name for i in range(NODE_USAGE.num_fields)}


def test_a_window_half_busy() -> None:
    row = monitor.usage(counters(10.0), counters(12.0, busy=1.0), "both", 0.1)
    assert row["cores"] == 2
    assert row["busy_ratio"] == pytest.approx(0.5)
    assert row["softirq_ratio"] == pytest.approx(0.5)
    assert row["busy_above_idle_ratio"] == pytest.approx(0.4)
    assert row["softirq_by_core_ratio"] == pytest.approx([0.5, 0.5])


def test_busy_comes_from_idle_not_from_the_sampled_columns() -> None:
    before = Counters(node="n", at_s=0, cores=(core(),))
    after = Counters(node="n", at_s=1, cores=(core(user=0.9, idle=0.6, iowait=0.1),))
    assert monitor.busy_ratio(before, after) == pytest.approx(0.3)
    assert monitor.doubts(before, after) == ("cpu-columns",)


def test_without_a_baseline_nothing_is_subtracted() -> None:
    assert monitor.usage(counters(1.0), counters(2.0), "both", None)["busy_above_idle_ratio"] is None


@pytest.mark.parametrize("after", [counters(1.0), counters(0.5), counters(2.0, cores=3)])
def test_a_window_that_can_not_be_compared_is_none_and_never_zero(after: Counters) -> None:
    row = monitor.usage(counters(1.0), after, "both", 0.0)
    assert {row[f"{mode}_ratio"] for mode in (*MODES, "busy")} == {None}
    assert monitor.doubts(counters(1.0), after) == ("cpu-unknown",)


def test_steal_is_flagged() -> None:
    before = Counters(node="n", at_s=0, cores=(core(),))
    after = Counters(node="n", at_s=1, cores=(core(steal=0.03, idle=0.97),))
    assert monitor.doubts(before, after) == ("steal",)
    assert monitor.usage(before, after, "both", None)["steal_by_core_ratio"] == pytest.approx([0.03])


@pytest.mark.parametrize(
    "delta",
    [
        {"idle": 1.2},  # more idle than there was time
        {"idle": -0.5, "user": 1.5},  # the counter ran backwards
        {"iowait": -0.2, "idle": 1.0, "user": 0.2, "system": 0.3},
    ],
    ids=["beyond the wall time", "backwards", "beyond by the columns"],
)
def test_idle_time_that_can_not_be_is_flagged_on_any_core(delta: dict[str, float]) -> None:
    booted = dict.fromkeys(MODES, 10.0)
    before = Counters(node="n", at_s=0, cores=(core(), core(**booted)))
    after = core(**{mode: seconds + delta.get(mode, 0.0) for mode, seconds in booted.items()})
    found = monitor.doubts(before, Counters(node="n", at_s=1, cores=(core(idle=1.0), after)))
    assert ("cpu-idle" in found) == (not 0 <= delta["idle"] + delta.get("iowait", 0.0) <= 1)


def test_a_short_window_is_not_blamed_for_its_ticks() -> None:
    before = Counters(node="n", at_s=0, cores=(core(),))
    after = Counters(node="n", at_s=0.2, cores=(core(idle=0.185),))
    assert monitor.doubts(before, after) == ()


@given(deltas, st.floats(0.001, 100))
def test_ratios_stay_within_bounds(delta: dict[str, float], wall_s: float) -> None:
    before = Counters(node="n", at_s=0, cores=(core(),))
    busy = monitor.busy_ratio(before, Counters(node="n", at_s=wall_s, cores=(core(**delta),)))
    assert busy is not None
    assert 0 <= busy <= 1


def test_this_machine_can_be_read() -> None:
    before = read("local", "here")
    after = read("local", "here")
    assert after.node == "here"
    assert after.at_s > before.at_s
    assert after.cores
    assert after.memory_used_bytes
    assert "lo" in after.interfaces


def test_the_interface_table() -> None:
    text = (
        "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
        "    lo: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n  ul0:3 1 0 0 0 0 0 0 4 2 0 0 0 0 0 0\n"
    )
    found = monitor.interfaces(text)
    assert (found["lo"].received_bytes, found["lo"].sent_bytes) == (10, 20)
    assert (found["ul0"].received_bytes, found["ul0"].sent_bytes) == (3, 4)


@pytest.mark.parametrize("source", ["netns:no-such-namespace", "http://127.0.0.1:1/", "magic"])
def test_a_source_that_can_not_be_read_is_a_sentence(source: str) -> None:
    with pytest.raises(Problem) as caught:
        read(source, "node-a")
    assert "\n" not in str(caught.value)


def test_a_missing_nsenter_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="nsenter is missing: install util-linux"):
        read("netns:x", "node-a")


@pytest.fixture(scope="module")
def address() -> str:
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=monitor_http.serve, args=(0, ready.put), daemon=True).start()
    return f"http://127.0.0.1:{ready.get(timeout=10)}"


def test_a_monitor_serves_its_node_by_its_own_clock(address: str) -> None:
    found = read(address, "node-b")
    assert found.node == "node-b"
    assert len(found.cores) == len(read("local", "x").cores)
    assert abs(found.at_s - time.monotonic()) < 60


READING = read("local", "x").model_dump_json().encode()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{}", "answers with something else than counters"),
        (b"[" * 200_000, "answers with something else than counters"),
        (b"\xff\xfe", "answers with something else than counters"),
        (b'{"node":"x","at_s":NaN}', "answers with something else than counters"),
        (b'{"node":"x","at_s":1,"memory_used_bytes":18446744073709551615}', "answers with something else"),
        (b'{"node":"x","at_s":1,"memory_used_bytes":-1}', "answers with something else than counters"),
        (READING + b" " * 5_000_000, "answers with more than the 4 MB of any counters"),
    ],
)
def test_something_else_than_a_monitor_is_a_sentence(body: bytes, error: str) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(Problem, match=error):
            read(f"http://127.0.0.1:{server.server_port}/", "node-b")
        server.shutdown()


@pytest.mark.parametrize("arguments", [(), ("serve",), ("serve", "x"), ("serve", "99999")])
def test_wrong_use_of_the_command_is_a_sentence(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "steps.monitor_http", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_a_measuring_step_imports_nothing_heavy() -> None:
    heavy = ("pyarrow", "duckdb", "altair", "scipy", "pandas", "kubernetes", "http.client", "hera")
    program = f"import sys, steps.measure; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
