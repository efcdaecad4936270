"""One HTTP request within bounds of time and size, without proxies and redirections; `http` is slow to import."""

import contextlib
import socket
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Final
from urllib.parse import urlsplit

UNIX: Final = "unix:"

_CONNECT_S: Final = 2.0
"""The longest wait for a connection: a Service may lead to a pod that is gone, for a moment, and a new try does not."""


class _LocalConnection(HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def shown(url: str) -> str:
    """The address of a server without the token in its path."""
    place = urlsplit(url)
    return url if url.startswith(UNIX) else f"{place.scheme}://{place.netloc}/"


def exchange(
    url: str,
    path: str,
    body: bytes | None,
    *,
    timeout_s: float,
    most_bytes: int,
    opened: Callable[[socket.socket], None] | None = None,
) -> tuple[int, bytes]:
    """The status and the body of an answer, at most `most_bytes` and one byte of it.

    Args:
        url: `http://ADDRESS:PORT/TOKEN`, or `unix:PATH`.
        path: appended to the URL's own.
        body: to POST; None: a GET.
        timeout_s: for everything, from the connection on.
        most_bytes: of the answer that is read.
        opened: called with the socket, which another thread may shut down.

    Raises:
        TimeoutError: it took longer.
        OSError: the server can't be reached, or the connection broke.
        HTTPException: the answer is no HTTP.
    """
    expired, connect_s = threading.Event(), min(timeout_s, _CONNECT_S)
    connection: HTTPConnection
    if url.startswith(UNIX):
        connection, own = _LocalConnection(url.removeprefix(UNIX), connect_s), ""
    else:
        place = urlsplit(url)
        connection, own = HTTPConnection(place.hostname or "", place.port, timeout=connect_s), place.path.rstrip("/")

    def expire(sock: socket.socket) -> None:
        expired.set()
        with contextlib.suppress(OSError):  # it is closed already
            sock.shutdown(socket.SHUT_RDWR)

    timer: threading.Timer | None = None
    try:
        connection.connect()
        connection.sock.settimeout(timeout_s)
        if opened is not None:
            opened(connection.sock)
        # The connection's own timeout is for each read alone, so a slow answer needs a limit as a whole.
        timer = threading.Timer(timeout_s, expire, (connection.sock,))
        timer.start()
        connection.request("GET" if body is None else "POST", f"{own}{path}" or "/", body=body)
        with connection.getresponse() as response:
            answer = response.status, response.read(most_bytes + 1)
    except Exception:
        if expired.is_set():
            raise TimeoutError("timed out") from None
        raise
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()
    if expired.is_set():
        raise TimeoutError("timed out")
    return answer
