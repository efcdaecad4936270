"""Steps that take turns over HTTP: on a monitor's port, and on the socket of the lab."""

import contextlib
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from analysis.errors import Problem
from steps.measurement import http_client
from steps.measurement.monitors import monitor_http
from steps.measurement.subprocesses import Programs
from steps.measurement.turns import turns_http
from steps.measurement.turns.turn_taker import Turn, TurnTaker
from steps.measurement.turns.turns import TurnRequest
from tests.waiting import until

TOKEN = "0123456789abcdef" * 2
STEPS = ("host-network", "pod-to-pod", "pod-to-service")


@pytest.fixture
def source() -> str:
    """A monitor that serves turns, of a visit of its own."""
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=monitor_http.serve, args=(0, ready.put, TOKEN), daemon=True).start()
    return f"http://127.0.0.1:{ready.get(timeout=10)}/{TOKEN}"


@pytest.fixture
def lab_source(tmp_path: Path) -> Iterator[str]:
    place = tmp_path / "turns"
    server = subprocess.Popen([sys.executable, "-m", "steps.measurement.turns.turns_http", str(place)])
    yield f"unix:{place}"
    server.kill()
    server.wait()


def taker(source: str | None, step: str, *, silent_s: float = 20.0, patience_s: float = 20.0) -> TurnTaker:
    return TurnTaker(source, step, STEPS, patience_s, Programs(), lambda _line: None, silent_s=silent_s)


@pytest.mark.parametrize("kind", ["source", "lab_source"])
def test_steps_measure_in_the_order_of_their_numbers_and_leave_together(
    request: pytest.FixtureRequest, kind: str
) -> None:
    source: str = request.getfixturevalue(kind)
    numbers = {"host-network": (1, 4, 7), "pod-to-pod": (2, 6), "pod-to-service": (3, 5)}
    seen: list[tuple[int, int | None]] = []
    left: list[int] = []

    def measure(step: str) -> None:
        own = taker(source, step)
        for number in numbers[step]:
            turn = own.take(number, 30.0)
            assert turn is not None
            seen.append((number, turn.count))
        own.leave()
        left.append(len(seen))

    threads = [threading.Thread(target=measure, args=(step,)) for step in STEPS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [(number, number) for number in range(1, 8)]
    assert left == [7, 7, 7], "nobody leaves before all are done"


def test_step_that_is_killed_while_it_waits_does_not_hold_up_the_others(source: str) -> None:
    program = (
        f"from tests.steps.measurement.test_turn_taker import taker\ntaker({source!r}, 'pod-to-service').take(1, 30.0)"
    )
    dying = subprocess.Popen([sys.executable, "-c", program])
    first, second = (taker(source, step) for step in STEPS[:2])
    turns: list[object] = []
    waiting = threading.Thread(target=lambda: turns.append(second.take(5, 30.0)))
    waiting.start()
    assert first.take(0, 30.0) is not None, "all have come"
    dying.kill()
    dying.wait()
    began_s = time.monotonic()
    leaving = threading.Thread(target=first.leave)
    leaving.start()
    waiting.join(10)
    assert turns != []
    assert time.monotonic() - began_s < 5, "its closed connection tells that it is gone"
    second.leave()
    leaving.join(10)
    assert not leaving.is_alive()


@pytest.mark.parametrize("refusal", ["", "ebpf is not proven"])
def test_steps_wait_for_one_that_comes_without_measuring_and_heed_its_refusal(source: str, refusal: str) -> None:
    ended: queue.Queue[object] = queue.Queue()

    def measure(step: str) -> None:
        try:
            ended.put(taker(source, step).take(STEPS.index(step), 30.0))
        except Problem as problem:
            ended.put(str(problem))

    threads = [threading.Thread(target=measure, args=(step,), daemon=True) for step in STEPS[:2]]
    for thread in threads:
        thread.start()
    with pytest.raises(queue.Empty):
        ended.get(timeout=0.3)
    began_s = time.monotonic()
    taker(source, "pod-to-service").come(refusal)
    first = ended.get(timeout=10)
    assert time.monotonic() - began_s < 5, "it does not wait itself"
    if refusal:
        assert [first, ended.get(timeout=10)] == [refusal, refusal]
    else:
        assert isinstance(first, Turn)


def test_unaccepted_connection_times_out_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """As to a pod that is gone, where a Service still leads to it."""
    monkeypatch.setattr(http_client, "_CONNECT_S", 0.2)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the standard library's
            waiting.connect_ex(full.getsockname())
        began_s = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            http_client.exchange(
                f"http://127.0.0.1:{full.getsockname()[1]}", "/turns", b"{}", timeout_s=20.0, most_bytes=10
            )
        assert time.monotonic() - began_s < 5


def test_missing_steps_are_named(source: str) -> None:
    said: list[str] = []
    own = TurnTaker(source, "host-network", STEPS, 0.1, Programs(), said.append)
    assert own.take(1, 30.0) is not None
    own.leave()
    assert said == ["measuring without pod-to-pod, pod-to-service: not started in 0.1 s"]


def test_vanished_server_ends_the_wait_in_a_sentence(tmp_path: Path) -> None:
    place = tmp_path / "turns"
    with pytest.raises(
        Problem, match=r"server of turns at unix:.* does not answer: .* for 0\.3 s: run the visit again"
    ):
        taker(f"unix:{place}", "pod-to-pod", silent_s=0.3).take(1, 30.0)


def test_silence_is_borne_longer_before_the_first_turn_than_after_it(tmp_path: Path) -> None:
    """A switch may keep the network down for as long as its proof may take."""
    place = tmp_path / "turns"
    own = TurnTaker(
        f"unix:{place}",
        "pod-to-pod",
        ("pod-to-pod",),
        20.0,
        Programs(),
        lambda _line: None,
        silent_s=0.3,
        unproven_s=20.0,
    )
    got: queue.Queue[object] = queue.Queue()
    waiting = threading.Thread(target=lambda: got.put(own.take(1, 30.0)), daemon=True)
    waiting.start()
    with pytest.raises(queue.Empty):
        got.get(timeout=1.0)
    server = subprocess.Popen([sys.executable, "-m", "steps.measurement.turns.turns_http", str(place)])
    try:
        assert isinstance(got.get(timeout=20), Turn)
    finally:
        server.kill()
        server.wait()
    with pytest.raises(Problem, match=r"for 0\.3 s: run the visit again"):
        own.take(2, 30.0)


def test_stop_ends_the_wait_at_once(source: str) -> None:
    own = taker(source, "pod-to-pod")
    problems: list[Problem] = []

    def wait() -> None:
        with pytest.raises(Problem) as caught:
            own.take(1, 30.0)
        problems.append(caught.value)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: own.programs.interrupt is not None)
    began_s = time.monotonic()
    own.programs.stop()
    waiting.join(10)
    assert time.monotonic() - began_s < 2
    assert str(problems[0]) == "stopped while pod-to-pod waited for its turn"


def test_single_step_does_not_wait_for_turns() -> None:
    turn = TurnTaker.alone().take(3, 30.0)
    assert turn is not None
    assert turn.count is None
    assert turn.lasts(29.0)
    assert not turn.lasts(31.0)


GOOD = TurnRequest(step="pod-to-pod", steps=STEPS, next=1, lease_s=1.0, patience_s=1.0).model_dump_json().encode()


def longer(body: bytes) -> bytes:
    return body[:-1] + b" " * 20_000 + body[-1:]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/{TOKEN}/turns", b"", 400),
        (f"/{TOKEN}/turns", b"{}", 400),
        (f"/{TOKEN}/turns", longer(GOOD), 400),
        (f"/{TOKEN}/turns", GOOD.replace(b"pod-to-pod", b"../../etc"), 400),
        (f"/{TOKEN}/turns", GOOD.replace(b'"next":1', b'"next":-1'), 400),
        (f"/{TOKEN}/turns", json.dumps({**json.loads(GOOD), "steps": ["a"] * 100}).encode(), 400),
        (f"/{TOKEN}/turns", GOOD.replace(b'{"step":"pod-to-pod"', b'{"step":"stranger"'), 409),
        (f"/{TOKEN}", GOOD, 404),
        ("/turns", GOOD, 404),
        (f"/{TOKEN[::-1]}/turns", GOOD, 404),
    ],
)
def test_hostile_request_gets_no_turn(source: str, path: str, body: bytes, status: int) -> None:
    place = source.removeprefix("http://").partition("/")[0]
    connection = HTTPConnection(place, timeout=10)
    connection.request("POST", path, body)
    assert connection.getresponse().status == status
    connection.close()


@pytest.mark.parametrize("length", ["", "-1", "1e3", "99999999999999999999", "0x10"])
def test_length_that_is_no_number_is_refused(source: str, length: str) -> None:
    host, _, port = source.removeprefix("http://").partition("/")[0].partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"POST /{TOKEN}/turns HTTP/1.0\r\nContent-Length: {length}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.0 400 ")


@pytest.mark.parametrize("answer", [b"HTTP/1.0 200 OK\r\n\r\n{}", b"HTTP/1.0 500 No\r\n\r\n", b"nonsense\r\n\r\n"])
def test_answer_that_is_no_turn_is_a_problem(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_reply, args=(server, answer), daemon=True).start()
        with pytest.raises(Problem, match=r"the server of turns at http://127\.0\.0\.1:"):
            taker(f"http://127.0.0.1:{server.getsockname()[1]}/{TOKEN}", "pod-to-pod", silent_s=0.0).take(1, 30.0)


def _reply(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(10_000)
        connection.sendall(answer)


def _mode_of_a_new_file(folder: Path) -> int:
    made = folder / "new"
    made.unlink(missing_ok=True)
    made.touch()
    return made.stat().st_mode


def test_command_line_of_the_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert turns_http.main([]) == 2
    before = _mode_of_a_new_file(tmp_path)
    assert turns_http.main([str(tmp_path / "none" / "turns")]) == 1
    assert _mode_of_a_new_file(tmp_path) == before, "it changes the permissions of its socket alone"
    assert capsys.readouterr().err.splitlines()[1].endswith("turns is unavailable: No such file or directory")
