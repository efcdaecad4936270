"""The echo servers of the probes, by TCP and UDP.

They answer only requests with the token of their own probes, and a reply is no request: a datagram with a forged source
can make no two servers answer each other, and no reply is longer than its request. UDP requests can let nobody rest.
"""

import asyncio
import contextlib
import hmac
import socket
from typing import Any, Final, cast

from steps.cluster.kube.probe.connections import DEAD_S
from steps.cluster.kube.probe.rest import Messages, Rest

_MOST_CLIENTS: Final = 256
"""Open connections to one echo server; further ones are closed at once."""


class _UdpServer(asyncio.DatagramProtocol):
    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transport need not descend from the class that asyncio documents.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if self._transport is not None and hmac.compare_digest(data, self._messages.request):
            self._transport.sendto(self._messages.reply, addr)


async def serve_echo(port: int, rest: Rest, stack: contextlib.AsyncExitStack, address: str | None = None) -> None:
    """Reply to requests with the token, by TCP and by UDP, until the stack is closed.

    `port`: of both. `address`: to listen on; None: all of this network.

    Raises:
        OSError: the port is unavailable.
    """
    length, clients = len(rest.messages.request), asyncio.Semaphore(_MOST_CLIENTS)

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if clients.locked():
                return
            async with clients:
                while True:
                    async with asyncio.timeout(DEAD_S):
                        request = await reader.readexactly(length)
                    if (answer := await rest.answer(request)) is None:
                        return
                    writer.write(answer)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(reply, sock=bound(socket.SOCK_STREAM, port, address))
    stack.callback(server.close)
    loop = asyncio.get_running_loop()
    own = bound(socket.SOCK_DGRAM, port, address)
    transport, _ = await loop.create_datagram_endpoint(lambda: _UdpServer(rest.messages), sock=own)
    stack.callback(transport.close)


def bound(kind: socket.SocketKind, port: int, address: str | None = None) -> socket.socket:
    """A socket at this address, or at every address of this network, of both families if there are both."""
    both = address is None and socket.has_dualstack_ipv6()
    made = socket.socket(socket.AF_INET6 if both or ":" in (address or "") else socket.AF_INET, kind)
    try:
        if both:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address or ("::" if both else "0.0.0.0"), port))  # noqa: S104 - a pod does not know its own address
    except (OSError, OverflowError):
        made.close()
        raise
    made.setblocking(False)  # noqa: FBT003 - the standard library's
    return made
