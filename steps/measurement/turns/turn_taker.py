"""A step's turns: it waits for each of them, and leaves when all steps of the visit are done."""

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from http.client import HTTPException
from typing import Final, Self

from pydantic import ValidationError

from analysis.errors import Problem
from steps.measurement.http_client import exchange, shown
from steps.measurement.subprocesses import Programs
from steps.measurement.turns.turns import CONFLICT, MOST_BYTES, OK, PATH, POLL_S, TRANSPORT_S, TurnReply, TurnRequest

SILENT_S: Final = 60.0
"""How long a server of turns may be silent before its clients give up, once the visit's first turn was given."""

_AGAIN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that this step has.

    Attributes:
        count: its place among all turns of the visit, in the order given; None: the step measures alone.
        ends_s: when it must be over, by `time.monotonic`.
    """

    count: int | None
    ends_s: float

    def lasts(self, seconds: float) -> bool:
        """Whether so much of it is left."""
        return time.monotonic() + seconds <= self.ends_s


@dataclass
class TurnTaker:
    """Takes the turns of one step.

    Attributes:
        source: of the placement; None: the step measures alone, without waiting.
        step: this one.
        steps: all of the visit.
        patience_s: how long steps that have not started are waited for.
        programs: which are not started while another step measures; when they are stopped, waiting ends.
        report: called with a line where steps are missing.
        needed: the steps without which nothing is measured.
        silent_s: how long the server may be silent.
        unproven_s: the same before the visit's first turn, when a switch may still keep the network down, if that is
            longer.
    """

    source: str | None
    step: str
    steps: Sequence[str]
    patience_s: float
    programs: Programs
    report: Callable[[str], None]
    _: KW_ONLY
    needed: Sequence[str] = ()
    silent_s: float = SILENT_S
    unproven_s: float = 0.0
    _seen: int = field(default=0, init=False)
    _missing: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        self._bearable_s = max(self.silent_s, self.unproven_s)

    @classmethod
    def alone(cls) -> Self:
        """Of a step that measures alone."""
        return cls(None, "", (), 0.0, Programs(), lambda _line: None)

    def take(self, number: int, lease_s: float) -> Turn | None:
        """Wait for the turn of a number; None: it has passed.

        Raises:
            Problem: the server of turns is gone, or the step was stopped.
        """
        answer = self._ask(number, lease_s) if self.source is not None else None
        if self.programs.stopped.is_set():  # others that were stopped first have left their turns to this step
            raise Problem(f"stopped before {self.step or 'it'} had its turn")
        if answer is None:
            return Turn(None, time.monotonic() + lease_s)
        if answer.state != "measure" or answer.number != number:
            return None
        return Turn(answer.turn, time.monotonic() + answer.lease_s)

    def leave(self) -> None:
        """Wait until all steps are done.

        Raises:
            Problem: as above.
        """
        if self.source is not None:
            self._ask(None, 0.0)

    def come(self, refusal: str = "") -> None:
        """Take part without measuring, or refuse so that nothing is measured, and don't wait.

        Raises:
            Problem: the server of turns is gone.
        """
        self._ask(None, 0.0, waits=False, refusal=refusal[:1_000])

    def _ask(self, number: int | None, lease_s: float, *, waits: bool = True, refusal: str = "") -> TurnReply:
        request = TurnRequest(
            step=self.step,
            steps=tuple(self.steps),
            next=number,
            lease_s=lease_s,
            patience_s=self.patience_s,
            seen=self._seen,
            needed=tuple(self.needed),
            waits=waits,
            refusal=refusal,
        )
        heard_s = time.monotonic()
        while not self.programs.stopped.is_set():
            try:
                answer = ask(self.source or "", request, self._interrupt)
            except Problem as problem:
                if time.monotonic() - heard_s > self._bearable_s:
                    raise Problem(f"{problem}, for {self._bearable_s:g} s: run the visit again") from None
                self.programs.stopped.wait(_AGAIN_S)
                continue
            finally:
                self.programs.interrupt = None
            heard_s = time.monotonic()
            if answer.turn:
                self._bearable_s = self.silent_s
            if answer.refusal:
                raise Problem(answer.refusal)
            if answer.missing and answer.missing != self._missing:
                self._missing = answer.missing
                self.report(f"measuring without {', '.join(answer.missing)}: not started in {self.patience_s:g} s")
            if answer.state != "ask-again" or not waits:
                self._seen = max(self._seen, answer.turn)
                return answer
        raise Problem(f"stopped while {self.step} waited for its turn")

    def _interrupt(self, opened: socket.socket) -> None:
        def shut() -> None:
            with contextlib.suppress(OSError):  # it is closed already
                opened.shutdown(socket.SHUT_RDWR)

        self.programs.interrupt = shut


def ask(source: str, request: TurnRequest, opened: Callable[[socket.socket], None] | None = None) -> TurnReply:
    """Ask a server of turns once.

    `source`: `http://ADDRESS:PORT/TOKEN` or `unix:PATH`. `opened`: called with the connection's socket, which another
    thread may shut down.

    Raises:
        Problem: it does not answer, or not with an answer.
    """
    body, server = request.model_dump_json().encode(), f"the server of turns at {shown(source)}"
    try:
        status, text = exchange(
            source, PATH, body, timeout_s=POLL_S + TRANSPORT_S / 4, most_bytes=MOST_BYTES, opened=opened
        )
    except (HTTPException, OSError) as error:
        raise Problem(f"{server} does not answer: {error}") from None
    if status == CONFLICT:
        raise Problem(f"{server} refuses: {text.decode(errors='replace')[:300]}")
    if status != OK:
        raise Problem(f"{server} answers with status {status}")
    try:
        return TurnReply.model_validate_json(text)
    except ValidationError:
        raise Problem(f"{server} answers with something else than a turn") from None
