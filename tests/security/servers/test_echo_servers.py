"""The echo servers of the probe pods: no forged message is answered, so that none starts a loop or reflects traffic."""

import asyncio
import json
import os
import random
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import TypeVar

import pytest

from steps.cluster.kube.probe import connections, echo
from steps.cluster.kube.probe.node_probe import Spec
from steps.cluster.kube.probe.rest import Messages, Rest

R = TypeVar("R")
LOCAL = "127.0.0.1"
TOKEN = "0123456789abcdef" * 2
MESSAGES = Messages.of(TOKEN)
FORGED = {
    "empty": b"",
    "old request": b".",
    "reply": MESSAGES.reply,
    "another token": Messages.of("f" * 32).request,
    "no token": b"?",
    "beginning": MESSAGES.request[:-1],
    "more": MESSAGES.request + b"x",
    "twice": MESSAGES.request * 2,
    "upper case": MESSAGES.request.upper(),
    "large": b"?" * 60_000,
}


def free_port() -> int:
    """A port that is free for TCP and UDP, below those that the kernel gives to clients."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp, suppress(OSError):
            udp.bind((LOCAL, port))
            tcp.bind((LOCAL, port))
            return port
    raise OSError("100 ports are taken")


def run(scenario: Callable[[], Coroutine[None, None, R]]) -> R:
    async def bounded() -> R:
        async with asyncio.timeout(20):
            return await scenario()

    return asyncio.run(bounded())


@pytest.mark.parametrize("case", FORGED)
def test_udp_echo_answers_only_the_request_with_the_token(case: str) -> None:
    async def scenario() -> bytes:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            port = free_port()
            await echo.serve_echo(port, Rest(MESSAGES, learns=False), stack, LOCAL)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)  # noqa: FBT003 - the standard library's
                client.connect((LOCAL, port))
                for datagram in (FORGED[case], MESSAGES.request):
                    await loop.sock_sendall(client, datagram)
                first = await loop.sock_recv(client, 65_535)
                with pytest.raises(BlockingIOError):
                    client.recv(65_535)
                return first

    assert run(scenario) == MESSAGES.reply


@pytest.mark.parametrize("case", sorted(set(FORGED) - {"empty", "beginning", "twice", "more"}))
def test_forged_request_closes_the_tcp_connection(case: str) -> None:
    async def scenario() -> bytes:
        async with AsyncExitStack() as stack:
            port = free_port()
            await echo.serve_echo(port, Rest(MESSAGES, learns=False), stack, LOCAL)
            reader, writer = await asyncio.open_connection(LOCAL, port)
            writer.write(FORGED[case])
            writer.write_eof()
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()

    assert run(scenario) == b""


def test_silent_clients_do_not_exhaust_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "_MOST_CLIENTS", 2)

    async def scenario() -> list[bytes]:
        async with AsyncExitStack() as stack:
            port = free_port()
            await echo.serve_echo(port, Rest(MESSAGES, learns=False), stack, LOCAL)
            clients = [await asyncio.open_connection(LOCAL, port) for _ in range(2)]
            for _reader, writer in clients:
                writer.write(MESSAGES.request)
            replies = [await reader.readexactly(len(MESSAGES.reply)) for reader, _writer in clients]
            reader, writer = await asyncio.open_connection(LOCAL, port)
            replies.append(await reader.read())
            for _reader, each in [*clients, (reader, writer)]:
                each.close()
            return replies

    assert run(scenario) == [MESSAGES.reply, MESSAGES.reply, b""]


def test_echo_servers_never_answer_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("a datagram with a forged source needs root")
    received: list[bytes] = []
    plain = echo._UdpServer.datagram_received

    def counted(self: echo._UdpServer, data: bytes, addr: tuple[str, int]) -> None:
        received.append(data)
        plain(self, data, addr)

    monkeypatch.setattr(echo._UdpServer, "datagram_received", counted)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            here, there = free_port(), free_port()
            for port in (here, there):
                await echo.serve_echo(port, Rest(MESSAGES, learns=False), stack, LOCAL)
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
                for payload in (b"x", MESSAGES.reply, MESSAGES.request):  # the last by an attacker who has the token
                    header = struct.pack("!HHHH", there, here, 8 + len(payload), 0)
                    raw.sendto(header + payload, (LOCAL, 0))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:  # behind all that the forged ones caused
                client.setblocking(False)  # noqa: FBT003 - the standard library's
                for port in (here, there, here, there):
                    await loop.sock_sendto(client, MESSAGES.request, (LOCAL, port))
                    await loop.sock_recv(client, 99)

    run(scenario)
    assert received.count(MESSAGES.request) == 5
    assert (received.count(MESSAGES.reply), received.count(b"x")) == (2, 1), "the third forged one got one reply"
    assert len(received) == 8


@pytest.mark.parametrize("token", ["", "x" * 32, "0" * 31, "0" * 33, "0" * 16 + "\n" + "0" * 15, 5, None])
def test_specification_without_a_token_is_refused(token: object) -> None:
    spec = {"node": "n", "address": LOCAL, "host": False, "targets": [], "lines": [], "echo": 1, "token": token}
    with pytest.raises(ValueError, match=r"token|expected string"):
        Spec.parse(json.dumps(spec))


def test_probe_in_the_nodes_network_listens_on_the_nodes_address_only() -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            port = free_port()
            await echo.serve_echo(port, Rest(MESSAGES, learns=False), stack, LOCAL)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.2", port)

    run(scenario)


def test_reflected_datagrams_are_no_replies() -> None:
    """A server that sends back what it gets, as anyone's echo does, makes no connection look alive."""

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            echoed.append(data)
            self.transport.sendto(data, addr)  # type: ignore[attr-defined]
            if len(echoed) > 3:
                enough.set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(MESSAGES.request)))
        writer.close()

    echoed: list[bytes] = []
    enough = asyncio.Event()

    async def scenario() -> tuple[connections.HeldConnection, connections.TargetResult]:
        loop = asyncio.get_running_loop()
        port = free_port()
        transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=(LOCAL, port))
        server = await asyncio.start_server(answer, LOCAL, port)
        target = connections.Target("t", "n", LOCAL, port)
        held, result = connections.HeldConnection("t", "udp"), connections.TargetResult("t", "n", connections.now())
        tasks = [
            asyncio.ensure_future(connections.hold_udp(target, held, Rest(MESSAGES, learns=True))),
            asyncio.ensure_future(connections.try_connections(target, result, Rest(MESSAGES, learns=True))),
        ]
        await enough.wait()
        while result.failed == 0:  # noqa: ASYNC110 - no event says that a connection failed
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
        transport.close()
        return held, result

    held, result = run(scenario)
    assert (held.received, result.ok_at) == (0, None)
    assert result.error == "answered by something else than the probe"
