"""The caller of `probe.waiting_client`: one node's clock, and when an address there answered, or stopped answering."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, TypeVar

import msgspec

from analysis.errors import Problem
from steps.cluster.kube.probe.waiting_client import PORT, Awaited, Begun, Ended, Now, ProbeRequest

_CONNECT_S: Final = 5.0
_EXCHANGES: Final = 8
"""Questions for the clock, of which the fastest counts."""

_SLACK_S: Final = 10.0
_LONGEST_LINE: Final = 4096
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class NodeClock:
    """How a node's monotonic clock relates to this process's. `bound_s`: by how much the offset may be wrong."""

    offset_s: float
    bound_s: float

    def here(self, moment: float) -> float:
        """A moment of the node's clock by this process's."""
        return moment - self.offset_s


@dataclass(frozen=True, slots=True)
class WaitingClient:
    """A pod of `probe.waiting_client`."""

    node: str
    address: str
    token: str
    port: int = PORT

    def clock(self) -> NodeClock:
        """Ask for the node's clock several times; the shortest exchange bounds the offset best.

        Raises:
            Problem: the pod does not answer.
        """
        found = []
        with self._opened(_CONNECT_S) as lines:
            for _ in range(_EXCHANGES):
                asked = time.monotonic()
                lines.ask(ProbeRequest(self.token, "clock"))
                there = lines.read(Now).now
                answered = time.monotonic()
                found.append(NodeClock(there - (asked + answered) / 2, (answered - asked) / 2))
        return min(found, key=lambda each: each.bound_s)

    @contextmanager
    def waiting(self, address: str, port: int, awaited: Awaited, timeout_s: float) -> Iterator["Waiting"]:
        """Let it try an address until the end of the block.

        Raises:
            Problem: the pod does not answer.
        """
        with self._opened(timeout_s + _SLACK_S) as lines:
            lines.ask(ProbeRequest(self.token, "wait", address, port, awaited, timeout_s))
            yield Waiting(self.node, lines)

    @contextmanager
    def _opened(self, timeout_s: float) -> Iterator["_Lines"]:
        try:
            with socket.create_connection((self.address, self.port), timeout=_CONNECT_S) as opened:
                opened.settimeout(timeout_s)
                with opened.makefile("rb") as answers:
                    yield _Lines(opened, answers)
        except OSError as error:
            raise Problem(f"the probe on {self.node} does not answer: {error.strerror or error}.") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Problem(f"the probe on {self.node} gave an answer that is not one of its program.") from None


@dataclass(frozen=True, slots=True)
class _Lines:
    opened: socket.socket
    answers: BinaryIO

    def ask(self, request: ProbeRequest) -> None:
        self.opened.sendall(msgspec.json.encode(request) + b"\n")

    def read(self, kind: type[M]) -> M:
        return msgspec.json.decode(self.answers.readline(_LONGEST_LINE), type=kind)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait that was asked for on a node."""

    node: str
    _lines: _Lines

    def begun(self) -> bool:
        """Whether the attempts have shown that the address is not as awaited yet; returns when that is known."""
        return self._lines.read(Begun).began

    def at(self) -> float | None:
        """When the address was as awaited, by the node's clock; None: not in time. Returns when that is known."""
        return self._lines.read(Ended).at
