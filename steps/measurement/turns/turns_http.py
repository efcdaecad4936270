"""The server of a visit's turns over HTTP; its clients are `steps.measurement.turns.turn_taker`'s.

`POST /TOKEN/turns` with a `TurnRequest` as JSON is answered with a `TurnReply`, once there is one. On a cluster a
monitor serves it; in the lab `python -m steps.measurement.turns.turns_http SOCKET` does, on a Unix socket in the
sandbox.
"""

import contextlib
import hmac
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from steps.measurement.turns.turns import CONFLICT, MOST_BYTES, OK, PATH, POLL_S, TurnReply, TurnRequest, Turns
from steps.serving import exit_code

_LOOK_S: Final = 1.0
"""How often a waiting request's connection is checked."""

_BAD, _UNKNOWN = 400, 404


class Table:
    """The turns of a visit, shared by the threads of a server."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._changed = threading.Condition()

    def wait(self, request: TurnRequest, connection: socket.socket) -> TurnReply | None:
        """The answer to a request, when there is one; None: its client is gone.

        Raises:
            ValueError: it is of another visit.
        """
        until_s = time.monotonic() + POLL_S
        with self._changed:
            self._turns.ask(request, time.monotonic())
            self._changed.notify_all()
            answer = None if request.waits else TurnReply(state="ask-again")
            gone = False
            try:
                while answer is None and not (gone := _is_closed(connection)):
                    answer = self._turns.answer(request.step, now_s := time.monotonic())
                    if answer is None and now_s >= until_s:
                        answer = TurnReply(state="ask-again")
                    if answer is None:
                        left_s = min(until_s - now_s, self._turns.changes_in_s(now_s), _LOOK_S)
                        self._changed.wait(max(left_s, 0.001))
            finally:
                self._turns.close(request.step, time.monotonic(), gone=gone)
                self._changed.notify_all()
        return answer


def _is_closed(connection: socket.socket) -> bool:
    """Whether the client has closed its end. It sends nothing after its request."""
    ready, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(ready) and not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


class TurnsHandler(BaseHTTPRequestHandler):
    """Answers requests for turns, of a server that is a `TurnsServer`."""

    timeout = 30

    def document(self) -> bytes | None:
        """The answer to a GET, as JSON; None: there is none at this path."""
        return None

    def do_GET(self) -> None:
        """Answer with the document."""
        found = self.document()
        self.reply(_UNKNOWN if found is None else OK, found or b"")

    def do_POST(self) -> None:
        """Answer a request for a turn; anything else with an error."""
        server = self.server
        if not (isinstance(server, TurnsServer) and hmac.compare_digest(self.path.encode(), server.turns_path)):
            self.reply(_UNKNOWN)
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and 0 < int(length[:6]) <= MOST_BYTES and len(length) < 6):  # noqa: PLR2004
            self.reply(_BAD)
            return
        try:
            answer = server.table.wait(TurnRequest.model_validate_json(self.rfile.read(int(length))), self.connection)
        except ValidationError:
            self.reply(_BAD)
        except ValueError as error:
            self.reply(CONFLICT, str(error).encode())
        else:
            if answer is not None:
                self.reply(OK, answer.model_dump_json().encode())

    def reply(self, status: int, body: bytes = b"") -> None:
        """Send an answer, which ends the connection."""
        with contextlib.suppress(OSError):  # the client is gone
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Print nothing: a line for each request would fill the log."""


class TurnsServer(ThreadingHTTPServer):
    """A server of turns, for who has the token; empty: for everyone who reaches it."""

    daemon_threads = True

    def __init__(self, address: Any, handler: type[TurnsHandler], token: str = "") -> None:  # noqa: ANN401
        self.turns_path = f"{'/' if token else ''}{token}{PATH}".encode()
        self.table = Table()
        super().__init__(address, handler)


class _LocalServer(TurnsServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Bind to the path, for its owner alone; the base class would look up a host's name."""
        before = os.umask(0o177)
        try:
            self.socket.bind(self.server_address)
        finally:
            os.umask(before)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m steps.measurement.turns.turns_http SOCKET\n")
        return 2
    place = Path(arguments[0])
    return exit_code(lambda: _serve(place), f"turns: {place}")


def _serve(place: Path) -> None:
    place.unlink(missing_ok=True)
    with _LocalServer(str(place), TurnsHandler) as server:
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
