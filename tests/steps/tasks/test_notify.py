"""Notifications over real HTTP: the document that is posted, and each way to fail."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import RetryCallState
from urllib3.exceptions import LocationParseError, MaxRetryError

from analysis.errors import BadInput, Problem
from analysis.summary.figures.failures import FailureCount
from analysis.summary.run.summary import Summary
from steps import notification
from tests.analysis.summary.comparisons import answer_of, compared, run_of

SUMMARY = Summary(
    run_id="run-1", environment="prod", outcome="measured-with-failures", interrupted=False, baseline="iptables",
    rounds=4, headline="eBPF gains 30 %.", trials=10, trials_measured=9, trials_failed=1, trials_not_run=0,
    failures=(FailureCount("it broke", 1, ()),),
)  # fmt: skip


class Receiver:
    """An HTTP server that answers with these statuses, one after another, then 200. 0: no answer at all."""

    def __init__(self, *statuses: int, location: str = "", endless: bool = False) -> None:
        self.bodies: list[Any] = []
        self.logins: list[str | None] = []
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
                receiver.logins.append(self.headers["Authorization"])
                status = next(answers, 200)
                if status == 0:
                    receiver.release.wait(30)
                    return
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                with suppress(OSError):  # whoever does not read the answer closes the connection
                    while endless and not receiver.release.is_set():
                        self.wfile.write(bytes(65536))

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


def message(summary: Summary | None = SUMMARY, *, restored: bool = True) -> dict[str, Any]:
    return notification.message(
        "run-1", "prod", "Failed", "s3://b/reports/run-1/report.html", summary, restored=restored
    )


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


def test_notification_begins_with_the_answer_and_has_all_of_it() -> None:
    about = run_of({"iptables": "iptables", "ebpf": "eBPF"})
    answer = answer_of(about, compared({"iptables": 1.0, "ebpf": 1.2}, 0.2))
    body = message(replace(SUMMARY, headline=answer.sentence, answer=answer))
    first, *sides, sure = body["text"].splitlines()
    assert first == f"prod: {answer.sentence}"
    assert sides == ["iptables: undecided on 1", "eBPF: undecided on 1"]
    assert sure.startswith("How sure: 4 rounds in 12 min.")
    assert sure.endswith("make submit CONTEXT=prod CONTINUES=run-1 ROUNDS=4")
    (kind,) = body["answer"]["kinds"]
    assert kind["kind"] == "in-cluster Service, TCP"
    assert kind["dataplanes"]["ebpf"] == {
        "answer": "undecided",
        "texts": ["↕ undecided, 1.8 % worse to 47 % better"],
    }
    assert body["markdown"].startswith(f"**{answer.sentence}**")
    json.dumps(body)


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
    ("status", "location", "attempts", "sentence"),
    [
        (500, "", 4, r"127\.0\.0\.1 could not be notified of the run: it answered 500, 4 times"),
        (404, "", 1, r"refused the notification of the run: it answered 404; check BENCHMARK_NOTIFY_URL"),
        (302, "https://login.example/x", 1, r"redirects to login\.example \(302\), and secrets are not sent on"),
    ],
)
def test_failed_notification_hides_the_secret(status: int, location: str, attempts: int, sentence: str) -> None:
    with (
        Receiver(*[status] * 9, location=location).running() as receiver,
        pytest.raises(Problem, match=sentence) as raised,
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
        "example.com/s3cret",
        "ftp://example.com/s3cret",
        "http:///s3cret",
        "https://",
        "https://[x/s3cret",
        "https://[::1/s3cret",
        "https://[s3cret]/",
        "https://x:99999/s3cret",
        "https://x:0/s3cret",
        "https://x:y/s3cret",
        "https://x:\u0661/s3cret",
        "https://a..b/s3cret",
        "https://ex ample/s3cret",
        "https://x%00/s3cret",
        "https://x/s3cret\nHost: other",
        "https://x/\x1b]0;s3cret\x07",
        "https://x/\udc80s3cret",
        "https://" + "\u00fc" * 70 + ".example/s3cret",
    ],
)
def test_invalid_notification_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(BadInput, match="BENCHMARK_NOTIFY_URL is no address: write https://HOST/PATH") as raised:
        notification.post(url, message())
    assert "s3cret" not in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "location",
    ["https://[::1/s3cret", "https://u:s3cret@other.example/s3cret", "https://x:99999/s3cret", "//", "/s3cret", "\x07"],
)
def test_redirect_to_any_address_is_one_sentence(location: str) -> None:
    with (
        Receiver(302, location=location).running() as receiver,
        pytest.raises(
            Problem, match=r"^127\.0\.0\.1 redirects to (another address|other\.example|x) \(302\)"
        ) as raised,
    ):
        notification.post(receiver.url, message(), at_once)
    assert "s3cret" not in str(raised.value)


def test_user_info_of_a_notification_url_is_basic_authentication() -> None:
    with Receiver().running() as receiver:
        assert notification.post(receiver.url.replace("://", "://us%40er:p%C3%A4ss@"), message()) == 200
    assert receiver.logins == ["Basic " + base64.b64encode("us@er:p\u00e4ss".encode()).decode()]


def test_unresolvable_international_host_is_named_in_ascii() -> None:
    with pytest.raises(Problem, match=r"^xn--bcher-kva\.invalid could not be notified of the run: ") as raised:
        notification.post("https://b\u00fccher.invalid/s3cret", message(), at_once)
    assert "s3cret" not in str(raised.value)


@given(st.text(max_size=20), st.text(alphabet="/?#@:[]%. \x00\x1b\u2024a\udc80", max_size=12))
def test_notification_error_of_a_library_hides_the_address(path: str, end: str) -> None:
    error = LocationParseError(f"https://host/s3cret{path}")
    for failure in (error, HTTPException(f"s3cret{path}"), ValueError(path), OSError(path), MaxRetryError(None, path)):  # type: ignore[arg-type]
        assert "s3cret" not in notification._reason(failure)
    with pytest.raises(Problem) as raised:
        notification.post(f"http://127.0.0.1:1/s3cret{path}{end}", message(), at_once)
    assert "s3cret" not in str(raised.value)


def test_endless_answer_is_not_read() -> None:
    with Receiver(200, endless=True).running() as receiver:
        assert notification.post(receiver.url, message(), at_once) == 200


def test_control_characters_of_stored_text_are_not_sent_to_chat_programs() -> None:
    body = message(replace(SUMMARY, headline="eBPF \x1b]0;x\x07gains \u202e30 %."))
    assert body["text"] == "prod: eBPF gains 30 %."
