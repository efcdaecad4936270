"""The counters of `steps.measurement.monitor` over HTTP: server and client, apart since `http` is slow to import.

`python -m steps.measurement.monitor_http serve PORT [TOKEN]` replies to `GET /TOKEN` with this node's counters as JSON.
"""

import contextlib
import hmac
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from analysis.errors import Problem
from steps.counters import Counters
from steps.measurement import monitor

_TIMEOUT_S: Final = 5
_MOST_CLIENTS: Final = 32
"""Open connections to a monitor; further ones are closed at once."""

_MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a reply: ten times the counters of a node of 1,000 cores and as many interfaces."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 30

    def do_GET(self) -> None:
        if not (isinstance(self.server, _Server) and hmac.compare_digest(self.path.encode(), self.server.path)):
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = monitor.local(socket.gethostname()).model_dump_json().encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Print nothing: a line for each reading would fill the pod's log."""


class _Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    daemon_threads = True

    def __init__(self, port: int, token: str) -> None:
        self.path = f"/{token}".encode()
        self._places = threading.BoundedSemaphore(_MOST_CLIENTS)
        super().__init__(("", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's
        """Give a connection a thread, or close it where there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's
        """Serve a connection, and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(port: int, ready: Callable[[int], None] | None = None, token: str = "") -> None:
    """Reply to `GET /TOKEN` with this node's counters until killed; to anything else with 404.

    Args:
        port: 0 for any that is free.
        ready: called with the port once it listens.
        token: that clients need; empty: none.

    Raises:
        OSError: the port is not available.
    """
    with _Server(port, token) as server:
        if ready is not None:
            ready(server.server_port)
        server.serve_forever()


def fetch(url: str) -> Counters:
    """The counters that a monitor serves at `http://ADDRESS:PORT/TOKEN`, without proxies and redirections.

    Raises:
        Problem: it does not answer in time, or not with counters.
    """
    place, expired = urlsplit(url), threading.Event()
    shown = f"{place.scheme}://{place.netloc}/"
    connection = HTTPConnection(place.hostname or "", place.port, timeout=_TIMEOUT_S)

    def expire(opened: socket.socket) -> None:
        expired.set()
        with contextlib.suppress(OSError):  # it is closed already
            opened.shutdown(socket.SHUT_RDWR)

    timer: threading.Timer | None = None
    try:
        connection.connect()
        # The connection's own timeout is for each read alone, so a slow answer needs a limit as a whole.
        timer = threading.Timer(_TIMEOUT_S, expire, (connection.sock,))
        timer.start()
        connection.request("GET", place.path or "/")
        with connection.getresponse() as response:
            body = response.read(_MOST_BYTES + 1)
        if len(body) > _MOST_BYTES:
            raise Problem(
                f"the monitor at {shown} answers with more than the {_MOST_BYTES / 1e6:.0f} MB of any counters"
            )
        return Counters.model_validate_json(body)
    except (ValidationError, HTTPException, OSError) as error:
        if isinstance(error, ValidationError) and not expired.is_set():
            raise Problem(f"the monitor at {shown} answers with something else than counters") from None
        reason = "timed out" if expired.is_set() else error
        raise Problem(f"the monitor at {shown} does not answer: {reason}") from None
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    if len(arguments) not in {2, 3} or arguments[0] != "serve" or not arguments[1].isdigit():
        sys.stderr.write("usage: python -m steps.measurement.monitor_http serve PORT [TOKEN]\n")
        return 2
    try:
        serve(int(arguments[1]), token="".join(arguments[2:]))
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"monitor: port {arguments[1]} is unavailable: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
