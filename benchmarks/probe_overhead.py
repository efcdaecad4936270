"""What this project's own probe adds to a time that it takes, against sockperf's client on loopback.

`python -m benchmarks.probe_overhead [ROUNDS]`. The connect probe times calls of Python's sockets by Python's clock.
Here that way of timing asks sockperf's server the same questions as sockperf's client does, of 64 bytes by TCP,
interleaved with it; what the medians differ by is what the probe adds to each of its times, a connect's as well.
"""

import math
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from analysis.console.terminal import printing
from analysis.stats.estimates.intervals import mean_interval
from steps.measurement.client_network import listening_ports
from steps.polling import poll
from steps.tools import connect_probe, tcp_connect
from steps.tools.failure import Failure
from steps.tools.sockperf import sockperf
from steps.tools.sockperf.responses import Responses
from steps.tools.sockperf.sockperf import MESSAGE_BYTES
from steps.tools.tool import Output, Task, Tool, here

ROUNDS: Final = 5
LOOPBACK: Final = "127.0.0.1"
_S: Final = 1.0
_WARM_UP_S: Final = 0.4
_HEADER: Final = struct.Struct("!QHI")
"""Of sockperf's messages: number, flags, length."""

_ASKED: Final = 0b11
"""The flags of a client's message that wants a reply."""


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


def by_sockperf(port: int) -> float:
    """The median round trip by sockperf's client, seconds."""
    task = Task(transport="tcp")
    argv = here(sockperf.TOOL.command(task, LOOPBACK, port))
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
    found = sockperf.TOOL.read(task, argv, Output(done.stdout, done.stderr, done.returncode))
    if isinstance(found, Failure):
        raise SystemExit(found.reason)
    assert isinstance(found, Responses)
    assert found.response_p50_s is not None
    return found.response_p50_s


def by_python(port: int) -> float:
    """The median round trip as the connect probe takes its times, seconds."""
    times: list[float] = []
    clock = time.perf_counter
    with socket.create_connection((LOOPBACK, port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = now = clock()
        number = 0
        while now - began < _S:
            number += 1
            message = _HEADER.pack(number, _ASKED, MESSAGE_BYTES).ljust(MESSAGE_BYTES, b"\0")
            start = clock()
            client.sendall(message)
            client.recv(MESSAGE_BYTES)
            now = clock()
            if now - began > _WARM_UP_S:
                times.append(now - start)
    return statistics.median(times)


def serving(tool: Tool, port: int) -> "subprocess.Popen[bytes]":
    """A tool's server, once it listens."""
    server = subprocess.Popen(here(tool.server(port)), stdout=subprocess.DEVNULL)
    poll(lambda: listening_ports(Path("/proc/net")), lambda found: port in found, pause_s=0.01, timeout_s=10)
    return server


def main() -> int:
    """Print both medians and their difference with its 95 % interval, beside the median time of a connect."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    ports = {tool: free_port() for tool in (sockperf.TOOL, tcp_connect.TOOL)}
    servers = [serving(tool, port) for tool, port in ports.items()]
    try:
        pairs = [(by_python(ports[sockperf.TOOL]), by_sockperf(ports[sockperf.TOOL])) for _ in range(rounds)]
        connects = [connect_probe.probe(LOOPBACK, ports[tcp_connect.TOOL], _S)["p50_s"] for _ in range(rounds)]
    finally:
        for server in servers:
            server.kill()
            server.wait()
    for own, other in pairs:
        print(f"{own * 1e6:.2f} us as the probe takes it, {other * 1e6:.2f} us by sockperf")
    found = mean_interval([own - other for own, other in pairs])
    if found is None:
        print("At least two rounds are needed for an interval.")
        return 1
    connect = statistics.median([each for each in connects if each is not None] or [math.nan])
    print(
        f"the probe adds {found.mean * 1e6:.2f} us [{found.low * 1e6:.2f}, {found.high * 1e6:.2f}] to each time, "
        f"of {connect * 1e6:.2f} us that a connect takes on loopback: {found.mean / connect:.0%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(printing(main))
