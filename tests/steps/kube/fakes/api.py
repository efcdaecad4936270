"""A Kubernetes API server in this process: over HTTP with the faults of a real one, or without a socket for speed."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from kubernetes.client import Configuration

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import refused
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.transport import ApiTransport, ClusterAccess
from tests.steps.kube.fakes.answers import Answer
from tests.steps.kube.fakes.store import Store

NAMESPACE = "bench"
WHERE = "prod"


@dataclass
class Fault:
    """What happens to the next requests that match, instead of or beside an answer.

    `kind`: status (refuse), cut (close without an answer), cut-after (do it, then close), slow (answer late),
    break (a watch ends after one event), garbage (`status` and `body`, whatever they are).
    """

    kind: Literal["status", "cut", "cut-after", "slow", "break", "garbage"]
    times: int = 1
    method: str = ""
    path: str = ""
    status: int = 500
    retry_after: str | None = None
    delay_s: float = 0.0
    body: bytes = b"<html>a proxy's page"

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in {"", method} and self.path in path


class Api:
    """The server: `store` is what it holds, `faults` what goes wrong, in order; `answered` counts requests."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.faults: list[Fault] = []
        self.answered = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

            def _any(self) -> None:
                with suppress(BrokenPipeError, ConnectionResetError):
                    api.answer(self)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _any  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator["Api"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def client(self, patience_s: float = 10.0) -> Client:
        configuration = Configuration()
        configuration.host = self.url
        return Client(ApiTransport(ClusterAccess(configuration), WHERE, patience_s), NAMESPACE)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.answered += 1
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        fault = next((f for f in self.faults if f.matches(handler.command, handler.path)), None)
        if fault:
            fault.times -= 1
        kind = fault.kind if fault else ""
        if fault and kind == "cut":
            _cut(handler)
            return
        if fault and kind == "status":
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            text = json.dumps({"kind": "Status", "message": f"made to fail with {fault.status}"}).encode()
            _send(handler, Answer(fault.status, text, headers))
            return
        if fault and kind == "slow":
            time.sleep(fault.delay_s)
        answer = self.store.handle(handler.command, handler.path, body, handler.headers.get("Content-Type", ""))
        if kind == "cut-after":
            _cut(handler)
        elif fault and kind == "garbage":
            _send(handler, Answer(fault.status, fault.body))
        elif answer.watch is not None:
            self._stream(handler, answer, broken=kind == "break")
        else:
            _send(handler, answer)

    def _stream(self, handler: BaseHTTPRequestHandler, answer: Answer, *, broken: bool) -> None:
        assert answer.watch is not None
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for event in self.store.stream(answer.watch):
            line = json.dumps(event).encode() + b"\n"
            if broken:
                handler.wfile.write(b"%x\r\n%s" % (len(line), line[: len(line) // 2]))
                handler.wfile.flush()
                _cut(handler)
                return
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response_only(answer.status)
    for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(answer.body)


def _cut(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)


class KilledError(BaseException):
    """The process was killed here; nothing catches it."""


class Direct:
    """A client's transport that asks the store at once.

    `kill_at`: which write kills the process, and when. `meddle`: what somebody else does just before each patch.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.where = self.context = WHERE
        self.writes = 0
        self.throttled = 0
        self.kill_at: int | None = None
        self.kill_after_write = False
        self._killed = False
        self.meddle: Callable[[str], None] = lambda _path: None

    def call(
        self,
        method: str,
        path: str,
        what: str,
        body: object = None,
        *,
        content: str = "",
        missing: bool = False,
        accept: str = "",
    ) -> bytes | None:
        del accept  # a request for metadata alone gets the whole object
        if self._killed and self.kill_at is not None:
            raise KilledError  # the process's other threads
        writes = method != "GET" and "accessreviews" not in path and "dryRun=All" not in path
        fatal = writes and self.writes == self.kill_at
        self._killed = fatal
        if fatal and not self.kill_after_write:
            raise KilledError
        if method == "PATCH" and writes:
            self.meddle(path)
        self.writes += writes
        answer = self.store.handle(method, path, b"" if body is None else json.dumps(body).encode(), content)
        if fatal:
            raise KilledError
        if answer.status == HTTPStatus.NOT_FOUND and missing:
            return None
        if answer.status >= 400:
            raise refused(self.where, what, method, answer.status, answer.body, None)
        return answer.body

    def header(self, path: str, what: str, name: str) -> str | None:
        del what
        return self.store.handle("GET", path).headers.get(name)

    def lines(self, path: str, what: str, read_s: float) -> Iterator[bytes]:
        del read_s
        answer = self.store.handle("GET", path)
        if answer.status >= 400:
            raise refused(self.where, what, "GET", answer.status, answer.body, None)
        self.store.advance(1.0)
        yield from ()  # there is no watch without a socket: one that ends at once is followed by a new look


def direct_client(store: Store, owner_reference: Object | None = None) -> tuple[Client, Direct]:
    """A client without a socket, and its transport."""
    transport = Direct(store)
    return Client(transport, NAMESPACE, owner_reference), transport  # type: ignore[arg-type]
