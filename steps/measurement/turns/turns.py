"""Whose turn it is: the measuring steps of a visit start together and measure one at a time. Pure.

A step asks for the turn of the number at which the visit's plan has its next measurement. The lowest number of the
steps that are there gets the turn, for a limited time. No step may leave before all are done, so that no
pod ends while another one measures. Requests may be repeated, late or lost: each says all that its step wants.

A step may take part without measuring: the others then wait until it has come. One that is needed, the proof of the
dataplane, may also refuse, so that nothing is measured.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from steps.strict_model import Count, Seconds, StrictModel

POLL_S: Final = 10.0
"""How long a request is left unanswered at most. The answer is then to ask again."""

TRANSPORT_S: Final = 15.0
"""The longest that a request or its answer may be under way; more than the time limit of a client's request."""

ABSENT_S: Final = 2 * TRANSPORT_S
"""A step that has not asked for so long, and measures nothing, is gone until it asks again."""

PATH: Final = "/turns"
"""To which requests are posted, after the token."""

MOST_BYTES: Final = 16_384
"""Of a request, and of an answer."""

OK, CONFLICT = 200, 409
"""The status of an answer, and that of a request that is of another visit."""

_END: Final = 2**31
"""Above all numbers: a step without further measurements."""

StepName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class TurnRequest(StrictModel):
    """A step's request.

    Attributes:
        step: that asks.
        steps: all of the visit.
        next: the number of its next measurement, all earlier ones being over; None: it has no more, and may leave.
        lease_s: for how long it needs the turn at most.
        patience_s: how long steps that have never asked are waited for, from the first request on.
        seen: the highest `turn` that it was given.
        needed: the steps without which nothing is measured.
        waits: whether the answer is due when there is something to do; else at once.
        refusal: why nothing is to be measured any more; empty: no reason.
    """

    step: StepName
    steps: Annotated[tuple[StepName, ...], Field(min_length=1, max_length=32)]
    next: Count | None
    lease_s: Seconds
    patience_s: Seconds
    seen: Count = 0
    needed: Annotated[tuple[StepName, ...], Field(max_length=32)] = ()
    waits: bool = True
    refusal: Annotated[str, Field(max_length=1_000)] = ""


class TurnReply(StrictModel):
    """What a step is to do.

    Attributes:
        state: measure the number `number`; ask again; or leave, since all is over.
        number: which may be above the one asked for: the turns of those between have passed.
        turn: how many turns were given so far in this visit, with this one.
        lease_s: seconds that are left of the turn.
        missing: the steps that never asked.
        refusal: why nothing is measured any more; empty: no reason.
    """

    state: Literal["measure", "ask-again", "leave"]
    number: Count = 0
    turn: Count = 0
    lease_s: Seconds = 0.0
    missing: tuple[StepName, ...] = ()
    refusal: str = ""


@dataclass(slots=True)
class _Step:
    """`next`: the number that it wants. `open`: its requests without an answer. `seen_s`: when the last one ended."""

    next: int
    lease_s: float
    open: int = 0
    seen_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Holder:
    step: str
    number: int
    until_s: float


class Turns:
    """The turns of one visit. Times are of one monotonic clock.

    `ask` opens a request; `answer` is called until it has one; `close` ends it.
    """

    def __init__(self) -> None:
        self._expected: tuple[str, ...] = ()
        self._steps: dict[str, _Step] = {}
        self._holder: _Holder | None = None
        self._given = 0
        self._starts_s = 0.0
        self._needed: tuple[str, ...] = ()
        self._refusal = ""

    def ask(self, request: TurnRequest, now_s: float) -> None:
        """Take a request.

        Raises:
            ValueError: it is of another visit.
        """
        if not self._expected:
            self._expected, self._starts_s = request.steps, now_s + request.patience_s
            self._needed = request.needed
        if request.step not in self._expected or set(request.steps) != set(self._expected):
            raise ValueError(f"step {request.step} is not one of this visit's: {', '.join(self._expected)}")
        wanted = _END if request.next is None else request.next
        step = self._steps.setdefault(request.step, _Step(wanted, request.lease_s))
        if wanted >= step.next:  # else it is late, or of a step that was started again
            step.next, step.lease_s = wanted, request.lease_s
        step.open += 1
        self._refusal = self._refusal or request.refusal
        self._given = max(self._given, request.seen)
        if self._holder is not None and self._holder.step == request.step and step.next > self._holder.number:
            self._holder = None

    def answer(self, name: str, now_s: float) -> TurnReply | None:
        """The answer to a step's request; None: not yet."""
        self._expire(now_s)
        if not self._has_started(now_s):
            return None
        if self._holder is None and (refusal := self._refusal or self._unneeded()):
            return TurnReply(state="leave", missing=self._missing, refusal=refusal)
        step = self._steps[name]
        if self._holder is None:
            waiting = [(other.next, key) for key, other in self._steps.items() if self._is_present(other, now_s)]
            first = min(waiting, default=(_END, ""))
            if first[0] == _END:
                return TurnReply(state="leave", missing=self._missing)
            if first[1] == name:
                self._given += 1
                self._holder = _Holder(name, step.next, now_s + step.lease_s + TRANSPORT_S)
        if self._holder is None or self._holder.step != name:
            return None
        left_s = self._holder.until_s - TRANSPORT_S - now_s
        if left_s <= 0:
            return None
        return TurnReply(
            state="measure", number=self._holder.number, turn=self._given, lease_s=left_s, missing=self._missing
        )

    def close(self, name: str, now_s: float, *, gone: bool) -> None:
        """End a request. `gone`: its client closed the connection, so that it is not there any more."""
        step = self._steps[name]
        step.open -= 1
        step.seen_s = now_s - ABSENT_S if gone else now_s

    def changes_in_s(self, now_s: float) -> float:
        """Seconds until time alone may change an answer, or more."""
        times = [self._starts_s] if not self._has_started(now_s) else []
        times += [self._holder.until_s] if self._holder is not None else []
        times += [step.seen_s + ABSENT_S for step in self._steps.values() if not step.open]
        return min((at_s - now_s for at_s in times if at_s > now_s), default=POLL_S)

    @property
    def _missing(self) -> tuple[str, ...]:
        # A server that was started again does not know the steps without which no turn would have been given.
        known = {*self._steps, *(self._needed if self._given else ())}
        return tuple(name for name in self._expected if name not in known)

    def _unneeded(self) -> str:
        """Why nothing is measured without a step that is needed; empty where all of them have come."""
        left = [name for name in self._needed if name in self._missing]
        return f"{' and '.join(left)} did not come in time, without which nothing is measured" if left else ""

    def _has_started(self, now_s: float) -> bool:
        return bool(self._refusal) or not self._missing or now_s >= self._starts_s

    def _is_present(self, step: _Step, now_s: float) -> bool:
        return step.open > 0 or now_s - step.seen_s < ABSENT_S

    def _expire(self, now_s: float) -> None:
        """End a turn whose step did not come back in time; its number has passed."""
        if self._holder is not None and now_s >= self._holder.until_s:
            step = self._steps[self._holder.step]
            step.next = max(step.next, self._holder.number + 1)
            self._holder = None
