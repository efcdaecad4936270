import json
import queue
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.tools import connect_probe


@pytest.fixture(scope="module")
def port() -> int:
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=connect_probe.serve, args=(0,), kwargs={"ready": ready.put}, daemon=True).start()
    return ready.get(timeout=600)


def test_probe_of_a_live_server_counts_and_times_connects(port: int) -> None:
    found = connect_probe.probe("127.0.0.1", port, 0.2)
    assert found["count"] > 100
    assert found["errors"] == 0
    assert found["p50_s"] is not None
    assert found["p99_s"] is not None
    assert 0 < found["p50_s"] <= found["p99_s"] < 1
    assert found["connects_per_s"] == pytest.approx(found["count"] / found["duration_s"])


def test_probe_leaves_no_socket_behind(port: int) -> None:
    connect_probe.probe("127.0.0.1", port, 0.1)
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [row for row in rows if row[2].endswith(f":{port:04X}")] == []


def test_connect_probe_over_ipv6(port: int) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    assert connect_probe.probe("::1", port, 0.02)["count"] > 0


def test_probe_of_a_closed_port_fails_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    found = connect_probe.probe("127.0.0.1", closed, 30)
    assert found["count"] == 0
    assert found["errors"] == 20
    assert found["p50_s"] is None
    assert found["connects_per_s"] is None
    assert "refused" in str(found["error"])


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=300), st.integers(0, 5))
def test_latency_quantiles_are_observed_values(times_s: list[float], errors: int) -> None:
    found = connect_probe.summarise(times_s, errors, None, 1.0)
    assert found["p50_s"] in times_s
    assert (found["p99_s"] is None) == (len(times_s) < 100)
    if found["p99_s"] is not None:
        assert found["p99_s"] in times_s
        assert sum(t <= found["p99_s"] for t in times_s) >= 0.99 * len(times_s)
    assert found["connects_per_s"] == len(times_s)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", connect_probe.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_connect_probe_command_prints_json(port: int) -> None:
    done = run("probe", "127.0.0.1", str(port), "0.05")
    assert done.returncode == 0
    assert set(json.loads(done.stdout)) == set(connect_probe.ConnectReport.__annotations__)


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        ((), 2, "usage: "),
        (("probe", "127.0.0.1", "x", "1"), 2, "usage: "),
        (("probe", "no.such.host.invalid", "1", "0.1"), 0, ""),
    ],
)
def test_connect_probe_usage_errors(arguments: tuple[str, ...], code: int, output: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert done.stderr.startswith(output)
    assert "Traceback" not in done.stderr


def test_connect_server_port_in_use(port: int) -> None:
    done = run("serve", str(port))
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("clients", [8, 64])
def test_connects_at_once_are_counted_and_timed(port: int, clients: int) -> None:
    found = connect_probe.probe_at_once("127.0.0.1", port, 0.2, clients)
    assert found["count"] > 100
    assert found["errors"] == 0
    assert found["p50_s"] is not None
    assert found["p99_s"] is not None
    assert 0 < found["p50_s"] <= found["p99_s"] < 1
    assert (found["p999_s"] is None) == (found["count"] < 1000)
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [row for row in rows if row[2].endswith(f":{port:04X}")] == []


def test_connects_at_once_to_a_closed_port_give_up_and_say_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    found = connect_probe.probe_at_once("127.0.0.1", closed, 30, 8)
    assert found["count"] == 0
    assert found["errors"] >= 20
    assert "refused" in str(found["error"])


def test_so_many_are_under_way_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        found = connect_probe.probe_at_once("127.0.0.1", server.getsockname()[1], 0.1, 8)
    assert found["count"] < 8, "a full queue lets no more in"
    assert found["errors"] == 8
    assert "timed out" in str(found["error"])


@pytest.mark.parametrize("clients", [1, 8])
def test_connect_that_the_kernel_refuses_at_once_is_an_error(clients: int) -> None:
    """As where there is no route, or one that leads nowhere; SO_ERROR tells nothing of it."""
    probe = connect_probe.probe if clients == 1 else partial(connect_probe.probe_at_once, clients=clients)
    found = probe("224.0.0.1", 5202, 30)
    assert (found["count"], found["p50_s"], found["connects_per_s"]) == (0, None, None)
    assert found["errors"] >= 20
    assert "unreachable" in str(found["error"])


def test_connects_that_are_lost_near_the_end_are_errors() -> None:
    """Others succeed meanwhile, and the time is that until the last of these."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:

        def accept() -> None:  # too slowly, so that the kernel drops what finds the queue full
            while not over.wait(0.01):
                server.accept()[0].close()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        found = connect_probe.probe_at_once("127.0.0.1", server.getsockname()[1], 0.3, 8)
        over.set()
        with socket.create_connection(server.getsockname()):
            accepting.join(10)
    assert found["count"] > 0
    assert found["errors"] > 0
    assert "timed out" in str(found["error"])
    assert found["duration_s"] < 1


@pytest.mark.parametrize(("count", "is_known"), [(999, False), (1000, True)])
def test_connect_p999_takes_a_thousand_connects(count: int, is_known: bool) -> None:  # noqa: FBT001
    found = connect_probe.summarise([index / 1e6 for index in range(count)], 0, None, 1.0)
    assert (found["p999_s"] is not None) == is_known
