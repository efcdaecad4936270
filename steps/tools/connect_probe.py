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

_TIMEOUT_S: Final = 1.0
_MOST_ERRORS: Final = 20
_USAGE: Final = "usage: python -m steps.tools.connect_probe serve PORT [ADDRESS] | probe ADDRESS PORT SECONDS [CLIENTS]"

OBSERVATIONS: Final = {0.99: 100, 0.999: 1000}
"""How many a percentile takes, so that one lies above it."""


class ProbeReport(TypedDict):
    """The probe's output.

    Times are of connect() alone, None if none succeeded, and the 99.9th percentile also if too few did; `error` is the
    last one. `cpu_s`: of this program, user and system.
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
) -> ProbeReport:
    """The probe's report.

    Args:
        times_s: of the connects that succeeded, in any order.
        errors: the number of the others.
        error: of the last of these.
        duration_s: of the whole probe.
        cpu_s: that this program used.
    """
    ordered = sorted(times_s)
    return {
        "connects_per_s": len(ordered) / duration_s if ordered and duration_s > 0 else None,
        "p50_s": quantile(ordered, 0.50),
        "p99_s": quantile(ordered, 0.99),
        "p999_s": quantile(ordered, 0.999) if len(ordered) >= OBSERVATIONS[0.999] else None,
        "count": len(ordered),
        "errors": errors,
        "error": error,
        "duration_s": duration_s,
        "cpu_s": cpu_s,
    }


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile, which is one of the times."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def probe(address: str, port: int, seconds: float) -> ProbeReport:
    """Connect and reset, one after another, for so many seconds; stop after some failures in a row."""
    clock = time.perf_counter
    times: list[float] = []
    errors = in_a_row = 0
    last: str | None = None
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    began = now = clock()
    while now - began < seconds and in_a_row < _MOST_ERRORS:
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(_TIMEOUT_S)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            start = clock()
            try:
                client.connect((address, port))
            except OSError as error:
                errors, in_a_row, last = errors + 1, in_a_row + 1, str(error)
            else:
                times.append(clock() - start)
                in_a_row = 0
        now = clock()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return summarise(times, errors, last, now - began, used.ru_utime + used.ru_stime)


def probe_at_once(address: str, port: int, seconds: float, clients: int) -> ProbeReport:
    """Keep so many connects under way for so many seconds; each is over when this program sees it. See `probe`."""
    clock = time.perf_counter
    times: list[float] = []
    errors = in_a_row = 0
    last: str | None = None
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    waiting: dict[socket.socket, float] = {}  # in the order of their beginnings
    with selectors.DefaultSelector() as selector:
        began = now = clock()
        while now - began < seconds and in_a_row < _MOST_ERRORS:
            for _ in range(clients - len(waiting)):
                client = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                selector.register(client, selectors.EVENT_WRITE)
                waiting[client] = clock()
                with contextlib.suppress(OSError):  # the socket keeps the error
                    client.connect((address, port))
            connected = {key.fd for key, _ in selector.select(_TIMEOUT_S)}
            now = clock()
            late = {client for client, start in waiting.items() if now - start > _TIMEOUT_S}
            for client in [each for each in waiting if each in late or each.fileno() in connected]:
                code = errno.ETIMEDOUT if client in late else client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    errors, in_a_row, last = errors + 1, in_a_row + 1, os.strerror(code)
                else:
                    times.append(now - waiting[client])
                    in_a_row = 0
                selector.unregister(client)
                del waiting[client]
                client.close()
        for client in waiting:
            client.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return summarise(times, errors, last, now - began, used.ru_utime + used.ru_stime)


def serve(port: int, *, ready: Callable[[int], None] | None = None, address: str = "::") -> None:
    """Accept and reset connections until killed.

    Args:
        port: 0 for any that is free.
        ready: called with the port once it listens.
        address: to listen on; the default takes IPv4 too.

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
