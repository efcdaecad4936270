"""Connections across a switch: new ones, five times a second, and long-lived ones, TCP and UDP, ten times a second.

They show whether Services answer, and the effect of the switch on open connections.
"""

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from steps.cluster.kube.probe.rest import ASK_S, WAIT_S, Rest

EVERY_S: Final = 0.2
GIVES_UP_S: Final = 1.0
TICK_S: Final = 0.1

DEAD_S: Final = 30
"""A connection without an answer for so long is dead: in a switch some recover after 14 s, and TCP then sends the last
lost segment again after up to 25 s."""

_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Target:
    """The address of new connections. `node`: whose rules they depend on. `name`: a description."""

    name: str
    node: str
    address: str
    port: int


def now() -> str:
    """The node's clock, as ISO 8601."""
    return datetime.now(UTC).isoformat()


@dataclass(slots=True)
class TargetResult:
    """The results of new connections to one target since `since`. Times are ISO 8601, by the node's clock.

    `failed`: how many failed; `failed_since_ok`: those after the first success, since until then the other end may not
    have started.
    """

    target: str
    node: str
    since: str = field(default_factory=now)
    ok_at: str | None = None
    failed_at: str | None = None
    error: str | None = None
    failed: int = 0
    failed_since_ok: int = 0

    def fail(self, error: str) -> None:
        """Count a failure."""
        self.failed_at, self.error, self.failed = now(), error, self.failed + 1
        self.failed_since_ok += self.ok_at is not None


@dataclass(slots=True)
class HeldConnection:
    """The results of one long-lived connection. `connected`: how often it was set up, once without a drop.

    `closed`: whether it was closed to rest, so that its silence says nothing.
    """

    name: str
    protocol: str
    connected: int = 0
    dropped: int = 0
    sent: int = 0
    received: int = 0
    longest_gap_s: float = 0.0
    closed: bool = False
    _last: float = field(default=0.0, repr=False)

    def count_reply(self) -> None:
        """Count a reply."""
        moment = time.monotonic()
        if self.received:
            self.longest_gap_s = max(self.longest_gap_s, moment - self._last)
        self._last = moment
        self.received += 1

    def as_json(self) -> dict[str, Any]:
        """A JSON object; a gap that still lasts counts."""
        silent_s = time.monotonic() - self._last if self.received and not self.closed else 0.0
        own = {name: getattr(self, name) for name in ("name", "protocol", "connected", "dropped", "sent", "received")}
        longest_s = max(self.longest_gap_s, silent_s)
        return {**own, "silent_s": round(silent_s, 3), "longest_gap_s": round(longest_s, 3)}


async def try_connections(target: Target, result: TargetResult, rest: Rest) -> None:
    """Open new connections, each for one request and its reply, until cancelled."""
    while True:
        await rest.awake.wait()
        began = time.monotonic()
        try:
            _heed(rest, await ask_once(target.address, target.port, rest.messages.request, GIVES_UP_S))
            result.ok_at = now()
        except TimeoutError:
            result.fail("timed out")
        except OSError as error:
            result.fail(_reason(error))
        await asyncio.sleep(max(0.0, began + EVERY_S - time.monotonic()))


async def ask_to_wake(target: Target, rest: Rest) -> None:
    """Ask a server to tell when its rest ends, as long as this probe rests, until cancelled."""
    while True:
        await asyncio.sleep(ASK_S)
        if rest.now:
            with contextlib.suppress(OSError):
                _heed(rest, await ask_once(target.address, target.port, rest.messages.wait, WAIT_S + GIVES_UP_S))


async def ask_once(address: str, port: int, request: bytes, timeout_s: float) -> bytes:
    """The reply to a request over a connection of its own.

    Raises:
        OSError: there is no connection, or no reply in time.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            # closed with a reset, since so many connections would leave as many ports in TIME_WAIT
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.write(request)
            return await _read_reply(reader, len(request))
        finally:
            writer.close()


async def _read_reply(reader: asyncio.StreamReader, length: int) -> bytes:
    try:
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise ConnectionError("closed without an answer") from None


def _heed(rest: Rest, reply: bytes) -> None:
    if not rest.understands(reply):
        raise ConnectionError("answered by something else than the probe")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


async def cancel(tasks: Collection["asyncio.Future[Any]"]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def hold_tcp(line: Target, held: HeldConnection, rest: Rest) -> None:
    """Keep a connection open with requests and replies, until cancelled; set it up again when it drops."""
    while True:
        writer = None
        try:
            await _begin(held, rest)
            async with asyncio.timeout(GIVES_UP_S * 2):
                reader, writer = await asyncio.open_connection(line.address, line.port)
            held.connected += 1
            own = writer.get_extra_info("socket")
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_S * 1000)
            await _converse(reader, writer, held, rest)
        except OSError:  # a timeout is one too
            if writer is not None:
                held.dropped += 1
        finally:
            if writer is not None:
                writer.close()
        await asyncio.sleep(TICK_S)


async def _begin(held: HeldConnection, rest: Rest) -> None:
    """Wait until the rest is over."""
    held.closed = rest.now
    await rest.awake.wait()
    held.closed = False


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: HeldConnection, rest: Rest
) -> None:
    """Send requests and await the reply of each, until a reply comes during a rest."""
    while not rest.now:
        writer.write(rest.messages.request)
        await writer.drain()
        held.sent += 1
        async with asyncio.timeout(DEAD_S):
            _heed(rest, await _read_reply(reader, len(rest.messages.reply)))
        held.count_reply()
        await asyncio.sleep(TICK_S)


class _UdpClient(asyncio.DatagramProtocol):
    def __init__(self, count_reply: Callable[[], None], reply: bytes) -> None:
        self._count_reply = count_reply
        self._reply = reply

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the base class names them
        if data == self._reply:
            self._count_reply()


async def hold_udp(line: Target, held: HeldConnection, rest: Rest) -> None:
    """Send requests and count the replies, until cancelled."""
    loop = asyncio.get_running_loop()
    messages = rest.messages
    while True:
        transport: asyncio.DatagramTransport | None = None
        try:
            await _begin(held, rest)
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _UdpClient(held.count_reply, messages.reply), remote_addr=(line.address, line.port)
            )
            held.connected += 1
            while not (transport.is_closing() or rest.now):
                transport.sendto(messages.request)
                held.sent += 1
                await asyncio.sleep(TICK_S)
        except OSError:
            pass
        finally:
            if transport is not None:
                transport.close()
        await asyncio.sleep(TICK_S)
