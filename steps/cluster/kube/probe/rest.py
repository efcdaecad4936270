"""When the probes of a node rest: between the proof before the trials and the one after them they must disturb nothing.

A request lets the probes with an echo server rest; by their replies to all others their clients rest, too. A probe
that rests sends nothing, except that a client asks its server every half minute for a reply when the rest ends. A
long-lived connection that awaits a reply stays open until the reply comes or the connection is dead, so that what a
switch cost is known in the end.
"""

import asyncio
import contextlib
import hmac
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

ASK_S: Final = 1.0
"""The time between two questions of a client that rests, each of which is answered when the rest ends."""

WAIT_S: Final = 30.0
"""The longest time until the answer, since a connection may break without a word."""

_TELL_S: Final = 2.0
"""The longest time for telling a server."""


@dataclass(frozen=True, slots=True)
class Messages:
    """The requests and replies of an echo server, all of one length.

    `rest` and `wake`: requests that begin and end the server's rest. While it rests, `rest` is its reply to all others.
    `wait`: a request whose reply comes when the server does not rest, or after `WAIT_S`.
    """

    request: bytes
    reply: bytes
    rest: bytes
    wake: bytes
    wait: bytes

    @classmethod
    def of(cls, token: str) -> "Messages":
        """The messages with this token."""
        return cls(*(mark + token.encode() for mark in (b"?", b"!", b"-", b"+", b"=")))


class Rest:
    """Whether a probe rests.

    `learns`: whether a server's reply changes it; a server itself obeys only requests. `woken`: called when it
    ends.
    """

    def __init__(self, messages: Messages, *, learns: bool, woken: Callable[[], None] = lambda: None) -> None:
        self.messages = messages
        self.awake = asyncio.Event()
        self.awake.set()
        self._learns = learns
        self._woken = woken

    @property
    def now(self) -> bool:
        """Whether it rests now."""
        return not self.awake.is_set()

    async def answer(self, request: bytes) -> bytes | None:
        """A server's reply to a request, when it is due; None: the request is not one of these probes."""
        own = self.messages
        if hmac.compare_digest(request, own.rest):
            self.awake.clear()
        elif hmac.compare_digest(request, own.wake):
            self._wake()
        elif hmac.compare_digest(request, own.wait):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self.awake.wait()
        elif not hmac.compare_digest(request, own.request):
            return None
        return own.rest if self.now else own.reply

    def understands(self, reply: bytes) -> bool:
        """Whether it is a server's reply, which a client heeds."""
        if reply not in {self.messages.reply, self.messages.rest}:
            return False
        if self._learns and reply == self.messages.rest:
            self.awake.clear()
        elif self._learns:
            self._wake()
        return True

    def _wake(self) -> None:
        if self.now:
            self.awake.set()
            self._woken()


def tell(address: str, port: int, token: str, *, begins: bool) -> bool:
    """Tell a probe with an echo server that its rest begins, or ends; whether it obeys."""
    messages = Messages.of(token)
    request, wanted = (messages.rest, messages.rest) if begins else (messages.wake, messages.reply)
    try:
        with socket.create_connection((address, port), timeout=_TELL_S) as opened:
            opened.sendall(request)
            with opened.makefile("rb") as reply:
                return reply.read(len(wanted)) == wanted
    except OSError:
        return False
