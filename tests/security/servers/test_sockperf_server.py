"""sockperf's server, which knows no token: what it answers, with how much, and where it listens."""

import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.tools.sockperf import sockperf
from steps.tools.tool import here
from tests.steps.measuring import free_port
from tests.waiting import until

HEADER = struct.Struct("!QHI")
"""Number, flags and length of a message."""

CLIENT, WANTS_REPLY, WARM_UP = 1, 2, 4
LOCAL = "127.0.0.1"


def message(flags: int, length: int = 64) -> bytes:
    return HEADER.pack(7, flags, length).ljust(64, b"\0")


REQUEST = message(CLIENT | WANTS_REPLY)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    server = subprocess.Popen([*here(sockperf.TOOL.server(number)), LOCAL], stdout=subprocess.DEVNULL)
    until(lambda: f":{number:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text())
    yield number
    server.kill()
    server.wait()


def answer(port: int, sent: bytes) -> bytes:
    """What comes back for a datagram; the request after it is answered by the same server, later."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect((LOCAL, port))
        client.send(sent)
        client.send(REQUEST[:7] + b"\x09" + REQUEST[8:])
        first = client.recv(65_536)
        return b"" if first[7] == 9 else first


def test_sockperf_request_is_answered_with_as_many_bytes(port: int) -> None:
    assert len(answer(port, REQUEST)) == len(REQUEST)


def test_sockperf_answers_no_answer_so_that_a_forged_source_starts_no_loop(port: int) -> None:
    assert answer(port, answer(port, REQUEST)) == b""


@pytest.mark.parametrize("flags", [0, CLIENT, WANTS_REPLY, CLIENT | WANTS_REPLY | WARM_UP])
def test_sockperf_answers_only_a_clients_request_for_a_reply(port: int, flags: int) -> None:
    assert answer(port, message(flags)) == b""


def test_sockperf_server_listens_at_the_address_that_it_is_given(port: int) -> None:
    for kind in ("tcp", "udp"):
        rows = [line.split()[1] for line in Path("/proc/net", kind).read_text().splitlines()[1:]]
        assert [row for row in rows if row.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"], kind
