"""A measuring step waits for its server before its first turn."""

import socket
import threading
import time

from steps.measurement.first_contact import await_server
from steps.tools import connect_probe
from tests.steps.builders import placement


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_server_that_begins_to_listen_is_awaited() -> None:
    port, lines = free_port(), list[str]()
    found: list[bool] = []
    waiting = threading.Thread(
        target=lambda: found.append(
            await_server(placement(connect_port=port), threading.Event(), lines.append, timeout_s=60)
        )
    )
    waiting.start()
    threading.Thread(target=connect_probe.serve, args=(port,), daemon=True).start()
    waiting.join(60)
    assert found == [True]
    assert lines == []


def test_server_that_never_answers_is_named_and_the_trials_go_on() -> None:
    port, lines = free_port(), list[str]()
    assert not await_server(placement(connect_port=port), threading.Event(), lines.append, timeout_s=0.1)
    (line,) = lines
    assert f"127.0.0.1 port {port} has not answered for 0.1 s (" in line
    assert "refused" in line


def test_stop_ends_the_wait() -> None:
    stopped = threading.Event()
    stopped.set()
    began = time.monotonic()
    assert not await_server(placement(connect_port=free_port()), stopped, lambda _: None, timeout_s=60)
    assert time.monotonic() - began < 5
