"""The connect-latency probe, server and client.

`python -m steps.tools.connect_probe serve PORT` accepts and closes; `... probe ADDRESS PORT SECONDS [CLIENTS]` opens
connections, one after another or so many at once, and prints a JSON object. Standard library alone, so that it starts
in a few milliseconds.
"""

import contextlib
import errno
import json
import math
import os
import resource
import selectors
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypedDict

# Closing with a reset leaves no TIME_WAIT behind, so neither ports nor conntrack entries run out.
_RESET: Final = struct.pack("ii", 1, 0)
_BACKLOG: Final = 4096
_OPEN: Final = 256
"""More than clients connect at once."""

_UNDER_WAY: Final = {0, errno.EINPROGRESS}
"""What a connect that was begun returns."""

_TIMEOUT_S: Final = 1.0
_MOST_ERRORS: Final = 20
_USAGE: Final = "usage: python -m steps.tools.connect_probe serve PORT [ADDRESS] | probe ADDRESS PORT SECONDS [CLIENTS]"

OBSERVATIONS: Final = {0.99: 100, 0.999: 1000}
"""How many a percentile takes, so that one lies above it."""


class ConnectReport(TypedDict):
    """The probe's output.

    Times are of connect() alone, None if too few succeeded for the percentile; `error` is the last one. `duration_s`:
    while connects were begun, and until the last of them that succeeded. `cpu_s`: of this program, user and system.
    """

    connects_per_s: float | None
    p50_s: float | None
    p99_s: float | None
    p999_s: float | None
    count: int
    errors: int
    error: str | None
    duration_s: float
    cpu_s: float


def summarise(
    times_s: Sequence[float], errors: int, error: str | None, duration_s: float, cpu_s: float = 0.0
) -> ConnectReport:
    """The probe's report.

    `errors`: the number of connects that failed, and `error` that of the last. `cpu_s`: that this program used.
    """
    ordered = sorted(times_s)
    return {
        "connects_per_s": len(ordered) / duration_s if ordered and duration_s > 0 else None,
        "p50_s": percentile(ordered, 0.50),
        "p99_s": percentile(ordered, 0.99),
        "p999_s": percentile(ordered, 0.999),
        "count": len(ordered),
        "errors": errors,
        "error": error,
        "duration_s": duration_s,
        "cpu_s": cpu_s,
    }


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile, which is one of the times; None if there are too few for it: see `OBSERVATIONS`."""
    if len(ordered) < OBSERVATIONS.get(share, 1):
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class _Connects:
    """What became of the connects of a probe so far."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._errors = self._in_a_row = 0
        self._last: str | None = None

    @property
    def fail_for_good(self) -> bool:
        """Whether so many failed in a row that no more are begun."""
        return self._in_a_row >= _MOST_ERRORS

    def succeeded(self, seconds: float) -> None:
        self._times_s.append(seconds)
        self._in_a_row = 0

    def failed(self, error: str) -> None:
        self._errors, self._in_a_row, self._last = self._errors + 1, self._in_a_row + 1, error

    def report(self, duration_s: float) -> ConnectReport:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return summarise(self._times_s, self._errors, self._last, duration_s, used.ru_utime + used.ru_stime)


def _socket(address: str, more: int = 0) -> socket.socket:
    """A TCP socket for a connect to the address. `more`: of its type's bits."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM | more)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return client


def probe(address: str, port: int, seconds: float) -> ConnectReport:
    """Connect and reset, one after another, for so many seconds; stop after some failures in a row."""
    clock = time.perf_counter
    found = _Connects()
    began = now = clock()
    while now - began < seconds and not found.fail_for_good:
        with _socket(address) as client:
            client.settimeout(_TIMEOUT_S)
            start = clock()
            try:
                client.connect((address, port))
            except OSError as error:
                found.failed(str(error))
            else:
                found.succeeded(clock() - start)
        now = clock()
    return found.report(now - began)


def probe_at_once(address: str, port: int, seconds: float, clients: int) -> ConnectReport:
    """Keep so many connects under way for so many seconds, then wait for those that are. See `probe`.

    Each is over when this program sees it, or at its timeout, so that a lost packet is an error and not left out.
    """
    clock = time.perf_counter
    found = _Connects()
    waiting: dict[socket.socket, float] = {}  # in the order of their beginnings
    with selectors.DefaultSelector() as selector:
        began = now = ended = clock()
        while (begins := now - began < seconds and not found.fail_for_good) or waiting:
            for _ in range(clients - len(waiting) if begins else 0):
                client = _socket(address, socket.SOCK_NONBLOCK)
                start = clock()
                if (code := client.connect_ex((address, port))) in _UNDER_WAY:
                    selector.register(client, selectors.EVENT_WRITE)
                    waiting[client] = start
                else:  # such an error is not kept for SO_ERROR, by which the connect would have succeeded
                    found.failed(os.strerror(code))
                    client.close()
            oldest = next(iter(waiting.values()), now)
            connected = {key.fd for key, _ in selector.select(max(0.0, oldest + _TIMEOUT_S - clock()))}
            now = clock()
            ended = min(now, began + seconds) if begins else ended
            late = {client for client, start in waiting.items() if now - start >= _TIMEOUT_S}
            for client in [each for each in waiting if each in late or each.fileno() in connected]:
                code = errno.ETIMEDOUT if client in late else client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    found.failed(os.strerror(code))
                else:
                    found.succeeded(now - waiting[client])
                    ended = now
                selector.unregister(client)
                del waiting[client]
                client.close()
    return found.report(ended - began)


def serve(port: int, *, ready: Callable[[int], None] | None = None, address: str = "::") -> None:
    """Accept and reset connections until killed.

    `port`: 0 for any that is free. `ready`: called with the port once it listens. `address`: to listen on; the default
    takes IPv4 too.

    Raises:
        OSError: the port is not available.
    """
    with _listen(address, port) as server:
        if ready is not None:
            ready(server.getsockname()[1])
        # A connection closed at once would reset a client that is still inside connect(), so some stay open a while.
        connections: deque[socket.socket] = deque()
        while True:
            # A client that is already gone, or a lack of descriptors, must not end the server.
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connections.append(connection)
            if len(connections) > _OPEN:
                connections.popleft().close()


def _listen(address: str, port: int) -> socket.socket:
    if address == "::" and not socket.has_dualstack_ipv6():
        address = "0.0.0.0"  # noqa: S104 - a server that only accepts and closes
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=address == "::")


def main(arguments: Sequence[str]) -> int:
    """The command line. Exit code 1 with a sentence on stderr where it fails, 2 for wrong arguments."""
    try:
        match list(arguments):
            case ["serve", port]:
                serve(int(port))
            case ["serve", port, address]:
                serve(int(port), address=address)
            case ["probe", address, port, seconds]:
                sys.stdout.write(json.dumps(probe(address, int(port), float(seconds))) + "\n")
            case ["probe", address, port, seconds, clients]:
                found = probe_at_once(address, int(port), float(seconds), int(clients))
                sys.stdout.write(json.dumps(found) + "\n")
            case _:
                sys.stderr.write(_USAGE + "\n")
                return 2
    except ValueError as error:
        sys.stderr.write(f"{_USAGE}: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"connect probe: {' '.join(arguments)}: {error.strerror or error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
