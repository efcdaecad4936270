"""Connections across a switch: new ones, five times a second, and long-lived ones, TCP and UDP, ten times a second.

They tell whether Services answer, and what the switch cost open connections.
"""

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

EVERY_S: Final = 0.2
GIVES_UP_S: Final = 1.0
TICK_S: Final = 0.1

DEAD_S: Final = 30
"""A connection without an answer for so long is dead. In a switch some freeze for 14 s, and live, and what was lost in
the last of these is not sent again before 25 s."""

_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Target:
    """Where new connections go. `node`: whose rules they depend on. `name`: what it is, in words."""

    name: str
    node: str
    address: str
    port: int


@dataclass(slots=True)
class TargetResult:
    """How new connections to one target fared, tried from `since` on. Times are ISO 8601, by the node's clock."""

    name: str
    node: str
    since: str
    ok_at: str | None = None
    failed_at: str | None = None
    error: str | None = None
    failed: int = 0


@dataclass(slots=True)
class HeldConnection:
    """How one long-lived exchange fared. `connected`: how often it was set up, once without a drop."""

    name: str
    protocol: str
    connected: int = 0
    dropped: int = 0
    sent: int = 0
    received: int = 0
    longest_gap_s: float = 0.0
    _last: float = field(default=0.0, repr=False)

    def heard(self) -> None:
        """An answer has come."""
        moment = time.monotonic()
        if self.received:
            self.longest_gap_s = max(self.longest_gap_s, moment - self._last)
        self._last = moment
        self.received += 1

    def told(self) -> dict[str, Any]:
        """As JSON has it; a silence that still lasts counts."""
        silent_s = time.monotonic() - self._last if self.received else 0.0
        own = {name: getattr(self, name) for name in ("name", "protocol", "connected", "dropped", "sent", "received")}
        longest_s = max(self.longest_gap_s, silent_s)
        return {**own, "silent_s": round(silent_s, 3), "longest_gap_s": round(longest_s, 3)}


def now() -> str:
    """The node's clock, as ISO 8601."""
    return datetime.now(UTC).isoformat()


async def try_connections(target: Target, fared: TargetResult) -> None:
    """Open new connections, each for one byte there and back, until cancelled."""
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(GIVES_UP_S):
                reader, writer = await asyncio.open_connection(target.address, target.port)
                try:
                    _linger(writer)
                    writer.write(b"?")
                    if await reader.read(1) != b"?":
                        raise ConnectionError("closed without an answer")
                finally:
                    writer.close()
            fared.ok_at = now()
        except TimeoutError:
            fared.failed_at, fared.error, fared.failed = now(), "timed out", fared.failed + 1
        except OSError as error:
            fared.failed_at, fared.error, fared.failed = now(), _reason(error), fared.failed + 1
        await asyncio.sleep(max(0.0, began + EVERY_S - time.monotonic()))


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _linger(writer: asyncio.StreamWriter) -> None:
    """Close with a reset: so many connections would leave as many ports waiting."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def hold_tcp(line: Target, held: HeldConnection) -> None:
    """Keep a connection open and talk over it, until cancelled; set it up again when it drops."""
    while True:
        writer = None
        try:
            async with asyncio.timeout(GIVES_UP_S * 2):
                reader, writer = await asyncio.open_connection(line.address, line.port)
            held.connected += 1
            user_timeout = getattr(socket, "TCP_USER_TIMEOUT", 18)
            own = writer.get_extra_info("socket")
            own.setsockopt(socket.IPPROTO_TCP, user_timeout, DEAD_S * 1000)
            await _converse(reader, writer, held)
        except OSError:  # a timeout is one too
            if writer is not None:
                held.dropped += 1
        finally:
            if writer is not None:
                writer.close()
        await asyncio.sleep(TICK_S)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: HeldConnection) -> None:
    while True:
        writer.write(b".")
        await writer.drain()
        held.sent += 1
        async with asyncio.timeout(DEAD_S):
            if not await reader.read(64):
                raise ConnectionError("closed by the other side")
        held.heard()
        await asyncio.sleep(TICK_S)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the base class names them
        self._heard()

    def error_received(self, exc: Exception) -> None:
        """A refusal is an answer that did not come; it is counted by its absence."""


async def hold_udp(line: Target, held: HeldConnection) -> None:
    """Send datagrams and count what comes back, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        transport: asyncio.DatagramTransport | None = None
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(held.heard), remote_addr=(line.address, line.port)
            )
            held.connected += 1
            while not transport.is_closing():
                transport.sendto(b".")
                held.sent += 1
                await asyncio.sleep(TICK_S)
        except OSError:
            pass
        finally:
            if transport is not None:
                transport.close()
        await asyncio.sleep(TICK_S)


class _Echo(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What asyncio hands over need not descend from the class that it documents.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(64):
            writer.write(data)
            await writer.drain()
    writer.close()


async def answer(port: int, stack: contextlib.AsyncExitStack) -> None:
    """Send back whatever comes to a port, by TCP and by UDP, until the stack is closed.

    Raises:
        OSError: the port can't be had.
    """
    server = await asyncio.start_server(_echo, sock=_bound(socket.SOCK_STREAM, port))
    stack.callback(server.close)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Echo, sock=_bound(socket.SOCK_DGRAM, port))
    stack.callback(transport.close)


def _bound(kind: socket.SocketKind, port: int) -> socket.socket:
    """A socket at every address of this network, of both families where there are both."""
    both = socket.has_dualstack_ipv6()
    made = socket.socket(socket.AF_INET6 if both else socket.AF_INET, kind)
    try:
        if both:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("::" if both else "0.0.0.0", port))  # noqa: S104 - the pod's own address is not known to it
    except OSError:
        made.close()
        raise
    made.setblocking(False)  # noqa: FBT003 - the standard library's
    return made
