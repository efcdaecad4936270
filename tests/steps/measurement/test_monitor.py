import contextlib
import queue
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import Problem
from analysis.store.schema import NODE_USAGE
from steps.counters import MODES, CoreTimes, Counters
from steps.domain import Monitor
from steps.measurement.monitors import monitor, monitor_http, sampler
from steps.measurement.monitors.sampler import read_counters
from steps.tools.tool import interval_s
from tests.steps.builders import counters

deltas = st.fixed_dictionaries({mode: st.floats(0, 1) for mode in MODES})


def core(**seconds: float) -> CoreTimes:
    return CoreTimes.model_validate({mode: seconds.get(mode, 0.0) for mode in MODES})


def test_usage_fills_the_schema_and_nothing_else() -> None:
    row = monitor.usage(counters(1.0), counters(2.0, busy=0.5), "both", 0.1)
    assert set(row) == {NODE_USAGE.field(i).name for i in range(NODE_USAGE.num_fields)}


def test_cpu_usage_of_a_half_busy_window() -> None:
    row = monitor.usage(counters(10.0), counters(12.0, busy=1.0), "both", 0.1)
    assert row["cores"] == 2
    assert row["busy_ratio"] == pytest.approx(0.5)
    assert row["softirq_ratio"] == pytest.approx(0.5)
    assert row["busy_above_idle_ratio"] == pytest.approx(0.4)
    assert row["softirq_by_core_ratio"] == pytest.approx([0.5, 0.5])


def test_busy_ratio_comes_from_idle_time() -> None:
    before = Counters(node="n", at_s=0, cores=(core(),))
    after = Counters(node="n", at_s=1, cores=(core(user=0.9, idle=0.6, iowait=0.1),))
    assert monitor.busy_ratio(before, after) == pytest.approx(0.3)
    assert monitor.window_flags(before, after) == ("cpu-columns",)


def test_monitor_without_an_idle_baseline_subtracts_nothing() -> None:
    assert monitor.usage(counters(1.0), counters(2.0), "both", None)["busy_above_idle_ratio"] is None


@pytest.mark.parametrize("after", [counters(1.0), counters(0.5), counters(2.0, cores=3)])
def test_incomparable_counters_are_null(after: Counters) -> None:
    row = monitor.usage(counters(1.0), after, "both", 0.0)
    assert {row[f"{mode}_ratio"] for mode in (*MODES, "busy")} == {None}
    assert monitor.window_flags(counters(1.0), after) == ("cpu-unknown",)


def test_steal_is_flagged() -> None:
    before = Counters(node="n", at_s=0, cores=(core(),))
    after = Counters(node="n", at_s=1, cores=(core(steal=0.03, idle=0.97),))
    assert monitor.window_flags(before, after) == ("steal",)
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
def test_impossible_idle_time_is_flagged(delta: dict[str, float]) -> None:
    booted = dict.fromkeys(MODES, 10.0)
    before = Counters(node="n", at_s=0, cores=(core(), core(**booted)))
    after = core(**{mode: seconds + delta.get(mode, 0.0) for mode, seconds in booted.items()})
    found = monitor.window_flags(before, Counters(node="n", at_s=1, cores=(core(idle=1.0), after)))
    assert ("cpu-idle" in found) == (not 0 <= delta["idle"] + delta.get("iowait", 0.0) <= 1)


def test_short_window_is_not_flagged_for_tick_rounding() -> None:
    before = Counters(node="n", at_s=0, cores=(core(),))
    after = Counters(node="n", at_s=0.2, cores=(core(idle=0.185),))
    assert monitor.window_flags(before, after) == ()


@given(deltas, st.floats(0.001, 100))
def test_cpu_ratios_stay_within_bounds(delta: dict[str, float], wall_s: float) -> None:
    before = Counters(node="n", at_s=0, cores=(core(),))
    busy = monitor.busy_ratio(before, Counters(node="n", at_s=wall_s, cores=(core(**delta),)))
    assert busy is not None
    assert 0 <= busy <= 1


def test_monitor_reads_this_machine() -> None:
    before = read_counters(Monitor(node="here", side="server", source="local"))
    after = read_counters(Monitor(node="here", side="server", source="local"))
    assert after.node == "here"
    assert after.at_s > before.at_s
    assert after.cores
    assert after.memory_used_bytes
    assert "lo" in after.interfaces


def test_interface_counters_from_proc_net_dev() -> None:
    text = (
        "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
        "    lo: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n  ul0:3 1 0 0 0 0 0 0 4 2 0 0 0 0 0 0\n"
    )
    found = monitor.interfaces(text)
    assert (found["lo"].received_bytes, found["lo"].sent_bytes) == (10, 20)
    assert (found["ul0"].received_bytes, found["ul0"].sent_bytes) == (3, 4)


@pytest.mark.parametrize("source", ["netns:no-such-namespace", "http://127.0.0.1:1/"])
def test_unreadable_monitor_source_is_a_problem(source: str) -> None:
    with pytest.raises(Problem) as caught:
        read_counters(Monitor(node="node-a", side="server", source=source))
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def address() -> str:
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=monitor_http.serve, args=(0, ready.put), daemon=True).start()
    return f"http://127.0.0.1:{ready.get(timeout=600)}/"


def test_monitor_serves_its_node_by_its_own_clock(address: str) -> None:
    found = read_counters(Monitor(node="node-b", side="server", source=address))
    assert found.node == "node-b"
    assert len(found.cores) == len(read_counters(Monitor(node="x", side="server", source="local")).cores)
    assert abs(found.at_s - time.monotonic()) < 60


READING = read_counters(Monitor(node="x", side="server", source="local")).model_dump_json().encode()


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
def test_invalid_monitor_response_is_a_problem(body: bytes, error: str) -> None:
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
            read_counters(Monitor(node="node-b", side="server", source=f"http://127.0.0.1:{server.server_port}/"))
        server.shutdown()


@pytest.mark.parametrize("arguments", [(), ("serve",), ("serve", "x"), ("serve", "99999")])
def test_monitor_command_usage_errors(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "steps.measurement.monitors.monitor_http", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_measure_step_imports_no_heavy_package() -> None:
    heavy = ("pyarrow", "duckdb", "altair", "scipy", "kubernetes", "http.server", "hera")
    program = f"import sys, steps.measurement.trials; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("duration_s", "report_s", "reading_s"), [(1, 0.5, 0.5), (10, 1, 1), (150, 1, 1)])
def test_short_trials_are_read_as_often_as_their_programs_report(
    duration_s: int, report_s: float, reading_s: float
) -> None:
    assert (interval_s(duration_s), sampler.reading_interval_s(duration_s)) == (report_s, reading_s)


@given(st.integers(1, 86_400))
def test_number_of_readings_and_reports_is_bounded(duration_s: int) -> None:
    """Those of a day on large nodes would not fit into the memory of a step."""
    assert duration_s / sampler.reading_interval_s(duration_s) <= sampler.READINGS_OF_A_TRIAL
    assert duration_s / interval_s(duration_s) <= 1440
    assert interval_s(duration_s) <= 60, "iperf3 takes no more"
    assert interval_s(duration_s) <= sampler.reading_interval_s(duration_s)
