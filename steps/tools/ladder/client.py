"""The client of the UDP ladder: `python -m steps.tools.ladder.client '{"address": ...}'` probes rates by iperf3.

It prints a JSON object with the output of each probe, from which the search is repeated where it is read.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.ladder import search
from steps.tools.ladder.search import Probe
from steps.tools.tool import Direction, Output, Task

PROBE_S: Final = 1
_SLACK_S: Final = 0.5
"""What starting iperf3 and ending it may take beside a probe."""

_BUSY_S: Final = 0.1
_IP_MTU: Final = 14
_IPV6_MTU: Final = 24
"""Options of a connected socket, from linux/in.h and linux/in6.h."""

_TIMEOUT_S: Final = PROBE_S + iperf3.CONNECT_TIMEOUT_S + 3.0


class ClimbRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request to the client. `block_bytes`: of each datagram; 0: the largest of the path."""

    address: str
    port: int
    direction: Direction
    block_bytes: int
    bound: float
    limit_s: float


class Probed(msgspec.Struct, frozen=True):
    """One probe: the offered rate (None: no limit), iperf3's arguments, and its output."""

    offered_bps: float | None
    argv: tuple[str, ...]
    stdout: str
    exit_code: int
    stderr: str = ""

    def read(self, direction: Direction, block_bytes: int) -> Probe | Failure:
        """What it measured."""
        output = Output(self.stdout.encode(), self.stderr.encode(), self.exit_code)
        report = iperf3.read(task(direction, block_bytes, self.offered_bps), self.argv, output)
        if isinstance(report, Failure):
            return report
        if report.lost_packets is None or not report.total_packets or report.sent_bps is None:
            return Failure("iperf3 reports no losses, or nothing that was sent")
        return Probe(
            offered_bps=self.offered_bps,
            sent_bps=report.sent_bps,
            received_bps=report.received_bps,
            sent_packets=report.total_packets,
            lost_packets=report.lost_packets,
            duration_s=report.duration_s,
        )


class Climb(msgspec.Struct, frozen=True):
    """The client's output: all probes in order, and the datagrams' size."""

    block_bytes: int
    bound: float
    probes: tuple[Probed, ...]


def task(direction: Direction, block_bytes: int, offered_bps: float | None) -> Task:
    """The task of a probe."""
    return Task(
        transport="udp",
        direction=direction,
        duration_s=PROBE_S,
        offered_bps=offered_bps,
        block_size_bytes=block_bytes,
    )


def climb(
    request: ClimbRequest, run: Callable[[list[str]], Output], clock: Callable[[], float] = time.monotonic
) -> Climb:
    """Probe rates until the search ends, a probe fails, or the time is over."""
    ends = clock() + request.limit_s
    probed: list[Probed] = []
    measured: list[Probe] = []
    while offer := search.next_offer(measured, request.bound):
        if clock() + PROBE_S + _SLACK_S > ends:
            break
        wanted = task(request.direction, request.block_bytes, offer.bps)
        argv = iperf3.command(wanted, request.address, request.port)
        output = run(argv)
        if iperf3.is_busy(output.stdout):
            time.sleep(_BUSY_S)
            continue
        code = -1 if output.exit_code is None else output.exit_code
        stdout, stderr = (text.decode(errors="replace") for text in (output.stdout, output.stderr))
        probed.append(Probed(offer.bps, tuple(argv), stdout, code, stderr))
        found = probed[-1].read(request.direction, request.block_bytes)
        if isinstance(found, Failure):
            break
        measured.append(found)
    return Climb(request.block_bytes, request.bound, tuple(probed))


def _largest_datagram_bytes(address: str) -> int:
    """The largest payload of a datagram that fits the MTU of the way to an address, as the kernel knows it.

    Raises:
        OSError: there is no way.
    """
    six = ":" in address
    family, level, option, headers = (
        (socket.AF_INET6, socket.IPPROTO_IPV6, _IPV6_MTU, 48)
        if six
        else (socket.AF_INET, socket.IPPROTO_IP, _IP_MTU, 28)
    )
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return probe.getsockopt(level, option) - headers


def _run(argv: list[str]) -> Output:
    try:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Output(b"", f"it did not end within {_TIMEOUT_S:g} s".encode(), None)
    except OSError as error:
        return Output(b"", f"{argv[0]} can't be run: {error.strerror}".encode(), None)
    return Output(done.stdout, done.stderr, done.returncode)


def main() -> int:
    """The command line. Exit code 2 with a sentence on stderr for wrong arguments."""
    try:
        request = msgspec.json.decode(sys.argv[1] if len(sys.argv) > 1 else "", type=ClimbRequest)
    except msgspec.MsgspecError as error:
        sys.stderr.write(f"ladder: {error}\n")
        return 2
    try:
        block = request.block_bytes or _largest_datagram_bytes(request.address)
    except OSError as error:
        sys.stderr.write(f"ladder: the path to {request.address} has no known MTU: {error.strerror}\n")
        return 1
    found = climb(msgspec.structs.replace(request, block_bytes=block), _run)
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
