"""The counters of `monitor` over HTTP: server and client, apart since `http` is slow to import.

`python -m steps.measurement.monitors.monitor_http serve PORT [TOKEN]` replies to `GET /TOKEN` with this node's counters
as JSON, and to `POST /TOKEN/turns` as `steps.measurement.turns.turns_http` does.
"""

import hmac
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any, Final

from pydantic import ValidationError

from analysis.errors import Problem
from steps.counters import Counters
from steps.measurement.http_client import exchange, shown
from steps.measurement.monitors import monitor
from steps.measurement.turns.turns_http import TurnsHandler, TurnsServer
from steps.serving import exit_code

_TIMEOUT_S: Final = 5
_MOST_CLIENTS: Final = 32
"""Open connections to a monitor; further ones are closed at once."""

_MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a reply: ten times the counters of a node of 1,000 cores and as many interfaces."""


class _Handler(TurnsHandler):
    def document(self) -> bytes | None:
        """This node's counters."""
        if isinstance(self.server, _Server) and hmac.compare_digest(self.path.encode(), self.server.path):
            return monitor.local(socket.gethostname()).model_dump_json().encode()
        return None


class _Server(TurnsServer):
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, token: str) -> None:
        self.path = f"/{token}".encode()
        self._places = threading.BoundedSemaphore(_MOST_CLIENTS)
        super().__init__(("", port), _Handler, token)

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
    """Serve this node's counters and a visit's turns until killed.

    `port`: 0 for any that is free. `ready`: called with the port once it listens. `token`: that clients need; empty:
    none.

    Raises:
        OSError: the port is not available.
    """
    with _Server(port, token) as server:
        if ready is not None:
            ready(server.server_port)
        server.serve_forever()


def fetch(url: str) -> Counters:
    """The counters that a monitor serves at `http://ADDRESS:PORT/TOKEN`.

    Raises:
        Problem: it does not answer in time, or not with counters.
    """
    try:
        _status, body = exchange(url, "", None, timeout_s=_TIMEOUT_S, most_bytes=_MOST_BYTES)
        if len(body) > _MOST_BYTES:
            raise Problem(
                f"the monitor at {shown(url)} answers with more than the {_MOST_BYTES / 1e6:.0f} MB of any counters"
            )
        return Counters.model_validate_json(body)
    except ValidationError:
        raise Problem(f"the monitor at {shown(url)} answers with something else than counters") from None
    except (HTTPException, OSError) as error:
        raise Problem(f"the monitor at {shown(url)} does not answer: {error}") from None


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    if len(arguments) not in {2, 3} or arguments[0] != "serve" or not arguments[1].isdigit():
        sys.stderr.write("usage: python -m steps.measurement.monitors.monitor_http serve PORT [TOKEN]\n")
        return 2
    port, token = int(arguments[1]), "".join(arguments[2:])
    return exit_code(lambda: serve(port, token=token), f"monitor: port {port}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
