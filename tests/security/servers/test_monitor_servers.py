"""The monitors of nodes: their counters are for who has the token, and many clients exhaust nothing."""

import contextlib
import http.client
import queue
import socket
import threading
from collections.abc import Iterator

import pytest

from analysis.errors import Problem
from steps.measurement.monitors import monitor_http
from steps.polling import poll

TOKEN = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def port() -> int:
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=monitor_http.serve, args=(0, ready.put, TOKEN), daemon=True).start()
    return ready.get(timeout=10)


@pytest.mark.parametrize(
    "path", ["/", "/x", f"/{TOKEN[:-1]}", f"/{TOKEN}/", f"/{TOKEN}?x", f"/{TOKEN.upper()}", "/%30", "*"]
)
def test_monitor_serves_counters_only_under_the_path_with_the_token(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (404, b"")


def test_client_with_the_token_gets_the_counters(port: int) -> None:
    assert monitor_http.fetch(f"http://127.0.0.1:{port}/{TOKEN}").cores
    with pytest.raises(Problem) as caught:
        monitor_http.fetch(f"http://127.0.0.1:{port}/{TOKEN[::-1]}")
    assert TOKEN[::-1] not in str(caught.value), "the token is no part of the message"


def test_many_idle_clients_do_not_exhaust_the_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_http, "_MOST_CLIENTS", 2)
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=monitor_http.serve, args=(0, ready.put, TOKEN), daemon=True).start()
    port = ready.get(timeout=10)
    with clients(port, 2), clients(port, 1) as (third,):
        assert third.recv(1) == b"", "closed at once"
    found = poll(lambda: served(port), bool, pause_s=0.01, timeout_s=10)
    assert found, "their places are free again"


def served(port: int) -> bool:
    try:
        return bool(monitor_http.fetch(f"http://127.0.0.1:{port}/{TOKEN}").cores)
    except Problem:
        return False


@contextlib.contextmanager
def clients(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]
        yield found
