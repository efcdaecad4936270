"""The program that finds out when an address begins to answer, or no longer answers, by its node's own clock.

`python -m steps.cluster.kube.probe.waiting_client TOKEN`. It serves requests on PORT, each a line of JSON with the
token, and sends nothing unless it is asked to:

- `clock`: the reply is the node's monotonic clock, from which the caller learns how far the clocks are apart.
- `wait`: it opens a new connection every EVERY_S, each for one request to the echo server there and its reply. The
  first line of the answer comes when an attempt has shown that the address is not yet as awaited; the second when it
  is, or when the time is over.

Every attempt has a port of its own, so that none follows the connection tracking of an earlier one, and ends before TCP
would repeat its first packet.
"""

import asyncio
import hmac
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec

from steps.cluster.kube.probe import connections, echo
from steps.cluster.kube.probe.rest import Messages
from steps.serving import exit_code

PORT: Final = 5205
EVERY_S: Final = 0.02
"""The time between two attempts: what is measured is that much too long at most."""

ATTEMPT_S: Final = 0.5
"""The longest attempt: shorter than the second after which TCP repeats its first packet."""

SETTLED_S: Final = 1.0
"""An address no longer answers if none of the attempts of so long was answered."""

LONGEST_S: Final = 900.0
_LONGEST_LINE: Final = 4096
_MOST_CLIENTS: Final = 64
"""Connections to one program: more than all changes that are under way at a time need."""

_USAGE: Final = "usage: python -m steps.cluster.kube.probe.waiting_client TOKEN\n"

Awaited = Literal["answered", "unanswered"]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class ProbeRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the program is asked; all but the token and `do` is of `wait`."""

    token: str
    do: Literal["clock", "wait"]
    address: str = ""
    port: int = 0
    awaited: Awaited = "answered"
    timeout_s: float = 0.0


_REQUEST: Final = msgspec.json.Decoder(ProbeRequest)


class Now(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to `clock`."""

    now: _Moment


class Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of the answer to `wait`: whether an attempt has shown that the address is not yet as awaited."""

    began: bool


class Ended(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The second line: when the address was as awaited, by the node's clock; None: not in time."""

    at: _Moment | None


@dataclass(slots=True)
class Wait:
    """What the attempts at one address have shown.

    Attributes:
        awaited: when it is over: an attempt is answered, or none has been for SETTLED_S.
        began: whether an attempt has shown the opposite.
        at: the time of the first reply, or when the first attempt began since which none was answered.
    """

    awaited: Awaited
    began: bool = False
    at: float | None = None
    _silent_since: float | None = field(default=None, repr=False)
    _last_answered: float = field(default=0.0, repr=False)

    def note(self, started: float, ended: float, *, answered: bool) -> bool:
        """Note an attempt that has ended; whether the wait is over. Attempts may end in any order."""
        if answered and self.awaited == "answered":
            self.at = ended if self.at is None else min(self.at, ended)
            return True
        if self.awaited == "answered":
            self.began = True
            return False
        if answered:
            self.began = True
            self._last_answered = max(self._last_answered, started)
            if self._silent_since is not None and self._silent_since <= self._last_answered:
                self._silent_since = None
        elif self.began and started > self._last_answered:
            self._silent_since = min(started, self._silent_since or started)
        since = self._silent_since
        if since is None or started < since + SETTLED_S:
            return False
        self.at = since
        return True


async def wait(
    address: str, port: int, token: str, awaited: Awaited, timeout_s: float, begun: Callable[[], None]
) -> Wait:
    """Try until the address is as awaited, or the time is over. `begun`: called when it was shown not to be yet."""
    found, over = Wait(awaited), asyncio.Event()
    messages = Messages.of(token)

    async def attempt() -> None:
        started = time.monotonic()
        answered = await _is_answered(address, port, messages)
        had_begun = found.began
        if not over.is_set() and found.note(started, time.monotonic(), answered=answered):
            over.set()
        if found.began and not had_begun:
            begun()

    running: set[asyncio.Future[None]] = set()
    end = time.monotonic() + timeout_s
    due = time.monotonic()
    try:
        while not over.is_set() and (now := time.monotonic()) < end:
            running.add(task := asyncio.ensure_future(attempt()))
            task.add_done_callback(running.discard)
            due = max(due + EVERY_S, now)
            try:
                await asyncio.wait_for(over.wait(), max(0.0, due - time.monotonic()))
            except TimeoutError:
                continue
    finally:
        await connections.cancel(list(running))
    return found


async def _is_answered(address: str, port: int, messages: Messages) -> bool:
    """Whether the echo server there replies to one request over a new connection."""
    try:
        return await connections.ask_once(address, port, messages.request, ATTEMPT_S) == messages.reply
    except OSError:  # a timeout is one too
        return False


async def serve(token: str, port: int = PORT, ready: Callable[[int], None] = lambda _port: None) -> None:
    """Serve requests until cancelled. `ready`: called with the port.

    Raises:
        OSError: the port is unavailable.
    """
    clients = asyncio.Semaphore(_MOST_CLIENTS)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if clients.locked():
                return
            async with clients:
                while (asked := _request(await reader.readline(), token)) is not None:
                    if asked.do == "wait":
                        await _unless_left(_wait(asked, writer), reader)
                        return
                    _say(writer, Now(time.monotonic()))
                    await writer.drain()
        except (OSError, ValueError):  # readline's for a line that is too long
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, sock=echo.bound(socket.SOCK_STREAM, port), limit=_LONGEST_LINE)
    async with server:
        ready(server.sockets[0].getsockname()[1])
        await server.serve_forever()


def _say(writer: asyncio.StreamWriter, found: Now | Begun | Ended) -> None:
    writer.write(msgspec.json.encode(found) + b"\n")


async def _wait(asked: ProbeRequest, writer: asyncio.StreamWriter) -> None:
    timeout_s = min(asked.timeout_s, LONGEST_S)
    begun = partial(_say, writer, Begun(began=True))
    found = await wait(asked.address, asked.port, asked.token, asked.awaited, timeout_s, begun)
    if not found.began:
        _say(writer, Begun(began=False))
    _say(writer, Ended(found.at))
    await writer.drain()


async def _unless_left(work: Coroutine[Any, Any, None], reader: asyncio.StreamReader) -> None:
    """Do the work until it is done or its caller is gone, whom nothing further may disturb."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(work), asyncio.ensure_future(reader.read(1))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await connections.cancel(tasks)


def _request(line: bytes, token: str) -> ProbeRequest | None:
    """A request with the token; None: it is none."""
    try:
        found = _REQUEST.decode(line)
    except (ValueError, RecursionError):
        return None
    return found if hmac.compare_digest(found.token.encode(), token.encode()) else None


def main(arguments: list[str]) -> int:
    """The command line. Exit code 1 with a sentence on stderr when the port is unavailable, 2 for wrong arguments."""
    if len(arguments) != 1:
        sys.stderr.write(_USAGE)
        return 2
    return exit_code(lambda: asyncio.run(serve(arguments[0])), f"waiting client: port {PORT}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
