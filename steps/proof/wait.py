"""Wait until a dataplane is proven to carry the traffic, bounded, and say what was and wasn't seen where."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from analysis.errors import Problem
from steps.catalogue.environments import is_lab
from steps.domain import Proof, Sign
from steps.polling import poll
from steps.proof import evaluate

LAB_TIMEOUT_S: Final = 10.0
"""How long the lab may take: a switch is done when configure returns, so that a first look nearly always settles it."""

CLUSTER_TIMEOUT_S: Final = 240.0
"""How long a cluster may: up to half a minute until Felix has written the dataplane, twice where it crashes once, the
stretch that must pass after it, and a kube-proxy that has to be started again."""

WAITING: Final = "switch"
"""What a contrary sign calls that which it was looked at, if it says that the switch is not over."""

FOR_GOOD: Final = "for good"
"""What a contrary sign calls that which it was looked at, if looking again can't change it: the wait ends with it."""

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Proven:
    """The dataplane is proven."""

    proof: Proof


@dataclass(frozen=True, slots=True)
class Pending:
    """It is not proven so far; looking again may help."""

    proof: Proof
    reason: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """It can't become proven; looking again is waste."""

    proof: Proof
    reason: str


Judgement = Proven | Pending | Impossible


def timeout_s(environment: str) -> float:
    """How long a switch may take until it is proven."""
    return LAB_TIMEOUT_S if is_lab(environment) else CLUSTER_TIMEOUT_S


class UnprovenError(Problem):
    """The dataplane was not proven. Carries what was seen last, for the record.

    `final`: it can't become proven, here and now and by trying once more.
    """

    def __init__(self, message: str, signs: Sequence[Sign], found: Proof | None, *, final: bool) -> None:
        super().__init__(message)
        self.signs = tuple(signs)
        self.proof = found
        self.final = final


@dataclass(frozen=True, slots=True)
class ProvenEvidence:
    """The signs that proved it, the proof, and how many seconds it took from the call."""

    signs: tuple[Sign, ...]
    proof: Proof
    settle_s: float


def judge(signs: Sequence[Sign], asked: str, nodes: Sequence[str]) -> Judgement:
    """What the signs of one look mean for the wait. Pure.

    A contrary sign may be the old dataplane on its way out, even on every node at once, so it is no reason to give up,
    unless it is one for good. Where no node is named, looking again can't help either.

    Args:
        signs: of one look.
        asked: the visit's arm.
        nodes: those on which it must be proven.
    """
    found = evaluate.evaluate(signs, asked, nodes)
    if found.state == "proven":
        return Proven(found)
    if last := [_clause(sign) for sign in signs if sign.looked_at == FOR_GOOD]:
        return Impossible(found, "; ".join(last))
    # what agrees with nothing at all is what is waited for, and is told beside what agrees with something else
    weighed = evaluate.evaluate([sign for sign in signs if sign.indicates != ()], asked, nodes)
    waits = [_clause(sign) for sign in signs if sign.indicates == ()]
    reason = "; ".join(filter(None, (weighed.reason, *waits))) or "no reason is known"
    return Pending(found, reason) if nodes else Impossible(found, reason)


def wait_for_proof(
    observe: Callable[[], Sequence[Sign]],
    judge: Callable[[Sequence[Sign]], Judgement],
    timeout_s: float,
    say: Callable[[str], None],
) -> ProvenEvidence:
    """Look until the judgement is final or time is up.

    Args:
        observe: looks at every node now.
        judge: judges one look.
        timeout_s: no look begins after this.
        say: called with what is missing, each time that it changes.

    Raises:
        UnprovenError: it can't settle, or did not in time.
    """
    began = time.monotonic()
    signs: Sequence[Sign] = ()
    last = ""

    def look() -> Judgement:
        nonlocal signs, last
        signs = observe()
        judgement = judge(signs)
        if isinstance(judgement, Pending) and judgement.reason != last:
            last = judgement.reason
            say(f"not settled: {last}")
        return judgement

    judgement = poll(
        look,
        lambda found: not isinstance(found, Pending),
        pause_s=_FIRST_PAUSE_S,
        longest_pause_s=_LONGEST_PAUSE_S,
        timeout_s=timeout_s,
    )
    if isinstance(judgement, Proven):
        return ProvenEvidence(tuple(signs), judgement.proof, time.monotonic() - began)
    if isinstance(judgement, Impossible):  # the reason is enough, and what else was seen is in the record
        raise UnprovenError(judgement.reason, signs, judgement.proof, final=True)
    waited = f"not within {timeout_s:g} s: {judgement.reason} (seen: {_seen(signs)})"
    raise UnprovenError(waited, signs, judgement.proof, final=False)


def _clause(sign: Sign) -> str:
    what = "" if sign.looked_at in {WAITING, FOR_GOOD} else f"{sign.looked_at}: "
    return f"{sign.node}: {what}{sign.seen}"


def _seen(signs: Sequence[Sign]) -> str:
    return "; ".join(f"{sign.node}: {sign.looked_at}: {sign.seen}" for sign in signs) or "no sign at all"
