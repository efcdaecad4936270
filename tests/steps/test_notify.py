"""Telling somebody, over real HTTP: what is sent, and what becomes of every way to fail."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tenacity import RetryCallState

from analysis.errors import BadInput, Problem
from analysis.summary.failures import FailureCount
from analysis.summary.summary import Summary
from steps import notification

SAID = Summary(
    run_id="run-1", environment="prod", outcome="measured-with-failures", interrupted=False, baseline="iptables",
    rounds=4, headline="eBPF gains 30 %.", trials=10, trials_measured=9, trials_failed=1, trials_not_run=0,
    failures=(FailureCount("it broke", 1, ()),),
)  # fmt: skip


class Receiver:
    """An HTTP server that answers with these statuses, one after another, then 200. 0: no answer at all."""

    def __init__(self, *statuses: int, location: str = "") -> None:
        self.bodies: list[Any] = []
        self.types: list[str] = []
        self.release = threading.Event()
        answers = iter(statuses)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

            def do_POST(self) -> None:
                receiver.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                receiver.types.append(self.headers["Content-Type"])
                status = next(answers, 200)
                if status == 0:
                    receiver.release.wait(30)
                    return
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hooks/s3cret"

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.release.set()
            self._server.shutdown()
            self._server.server_close()


def at_once(_state: RetryCallState) -> float:
    return 0.0


def message(said: Summary | None = SAID, *, restored: bool = True) -> dict[str, Any]:
    return notification.message("run-1", "prod", "Failed", "s3://b/reports/run-1/report.html", said, restored=restored)


def test_notification_is_posted_as_json() -> None:
    with Receiver().running() as receiver:
        assert notification.post(receiver.url, message()) == 200
    (body,) = receiver.bodies
    assert receiver.types == ["application/json"]
    assert body == message()
    assert body["text"] == "prod: eBPF gains 30 %."
    assert (body["outcome"], body["trials"], body["trials_measured"]) == ("measured-with-failures", 10, 9)
    assert body["failures"] == [{"reason": "it broke", "count": 1}]
    assert body["notice"] == "1 of 10 trials failed."


def test_notification_of_a_run_without_a_verdict() -> None:
    body = message(None, restored=False)
    assert (
        body["text"] == "prod: The run ended as Failed before anything was analysed. prod was NOT put back as it was."
    )
    assert (body["outcome"], body["report"], body["failures"]) == (None, None, [])


@pytest.mark.parametrize("status", [500, 503, 429])
def test_transient_notification_error_is_retried(status: int) -> None:
    with Receiver(status, status).running() as receiver:
        assert notification.post(receiver.url, message(), at_once) == 200
    assert len(receiver.bodies) == 3


@pytest.mark.parametrize(
    ("status", "location", "attempts", "says"),
    [
        (500, "", 4, r"127\.0\.0\.1 could not be notified of the run: it answered 500, 4 times"),
        (404, "", 1, r"refused the notification of the run: it answered 404; check BENCHMARK_NOTIFY_URL"),
        (302, "https://login.example/x", 1, r"sends on to login\.example \(302\), and a secret is not sent on"),
    ],
)
def test_failed_notification_hides_the_secret(status: int, location: str, attempts: int, says: str) -> None:
    with (
        Receiver(*[status] * 9, location=location).running() as receiver,
        pytest.raises(Problem, match=says) as raised,
    ):
        notification.post(receiver.url, message(), at_once)
    assert len(receiver.bodies) == attempts
    assert "s3cret" not in str(raised.value)


def test_silent_notification_receiver_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification, "READ_S", 0.1)
    with Receiver(0, 0, 0, 0).running() as receiver, pytest.raises(Problem, match=r"did not answer within 0\.1 s"):
        notification.post(receiver.url, message(), at_once)
    assert len(receiver.bodies) == 4


def test_unreachable_notification_receiver() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        Problem, match=r"127\.0\.0\.1 could not be notified of the run: \[Errno \d+\] Connection refused\."
    ):
        notification.post(f"http://127.0.0.1:{port}/", message(), at_once)


@pytest.mark.parametrize(
    "url",
    [
        "example.com/hook",
        "ftp://example.com",
        "http:///path",
        "https://",
        "https://[x",
        "https://x:99999/",
        "https://x:y",
    ],
)
def test_invalid_notification_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="BENCHMARK_NOTIFY_URL is no address"):
        notification.post(url, message(), at_once)
