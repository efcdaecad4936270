"""A monitor that answers slowly, endlessly or by a redirection delays no trial for long, and leads to no other host."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from analysis.errors import Problem
from steps.domain import Monitor
from steps.measurement.monitors import monitor_http
from steps.measurement.monitors.sampler import read_counters

ANSWER = b"HTTP/1.0 200 OK\r\n\r\n{}"


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server whose every connection is answered so, and its address."""

    def serve() -> None:
        with contextlib.suppress(OSError):  # it is closed at the end
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=answer_one, args=(connection,), daemon=True).start()

    def answer_one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def drip(first: bytes, stop: threading.Event) -> Callable[[socket.socket], None]:
    """Send a byte each now and then, for ever."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        while not stop.wait(0.02):
            connection.sendall(b"x")

    return answer


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.0 200 OK\r\nX-Endless: ",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    ],
)
def test_slow_monitor_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    monkeypatch.setattr(monitor_http, "_TIMEOUT_S", 0.2)
    stop = threading.Event()
    with server(drip(first, stop)) as address:
        began = time.monotonic()
        with pytest.raises(Problem, match=r"does not answer|answers with something else"):
            read_counters(Monitor(node="node-b", side="server", source=address))
        assert time.monotonic() - began < 5
        stop.set()


def test_redirection_is_not_followed() -> None:
    reached = threading.Event()
    with server(lambda _: reached.set()) as other:
        redirection = f"HTTP/1.0 302 Found\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n".encode()
        with (
            server(lambda connection: connection.sendall(redirection)) as address,
            pytest.raises(Problem, match="answers with something else than counters"),
        ):
            read_counters(Monitor(node="node-b", side="server", source=address))
    assert not reached.is_set()


def test_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = threading.Event()
    with server(lambda _: reached.set()) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with (
            server(lambda connection: connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n{}")) as address,
            pytest.raises(Problem),
        ):
            read_counters(Monitor(node="node-b", side="server", source=address))
    assert not reached.is_set()
