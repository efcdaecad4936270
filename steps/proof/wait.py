"""Wait within bounds until a dataplane is proven to carry the traffic."""

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
"""The limit in the lab, where a switch is complete when configure returns."""

CLUSTER_TIMEOUT_S: Final = 240.0
"""The limit on a cluster: up to half a minute until Felix has written the dataplane, twice where it crashes once, the
time that must pass after it, and a restart of kube-proxy."""

WAITING: Final = "switch"
"""The `looked_at` of a contrary sign which means that the switch is not over."""

FOR_GOOD: Final = "for good"
"""The `looked_at` of a contrary sign that can't change: the wait ends with it."""

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Proven:
    """The dataplane is proven."""

    proof: Proof


@dataclass(frozen=True, slots=True)
class Pending:
    """It is not proven so far, and may become so."""

    proof: Proof
    reason: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """It can't become proven."""

    proof: Proof
    reason: str


Judgement = Proven | Pending | Impossible


def timeout_s(environment: str) -> float:
    """The time limit for the proof of a switch."""
    return LAB_TIMEOUT_S if is_lab(environment) else CLUSTER_TIMEOUT_S


class UnprovenError(Problem):
    """The dataplane was not proven. Has the last signs and their proof; `final`: it can't become proven."""

    def __init__(self, message: str, signs: Sequence[Sign], found: Proof | None, *, final: bool) -> None:
        super().__init__(message)
        self.signs = tuple(signs)
        self.proof = found
        self.final = final


@dataclass(frozen=True, slots=True)
class ProvenEvidence:
    """The signs that proved it, the proof, and the seconds from the call until it."""

    signs: tuple[Sign, ...]
    proof: Proof
    settle_s: float


def judge(signs: Sequence[Sign], requested: str, nodes: Sequence[str]) -> Judgement:
    """What the signs of one moment mean for the wait. Pure.

    A contrary sign may come from the old dataplane while it is replaced, so the wait goes on, unless the sign is final
    or no node is named. `requested`: the visit's arm. `nodes`: those on which it must be proven.
    """
    found = evaluate.evaluate(signs, requested, nodes)
    if found.state == "proven":
        return Proven(found)
    if last := [_clause(sign) for sign in signs if sign.looked_at == FOR_GOOD]:
        return Impossible(found, "; ".join(last))
    # signs that agree with no dataplane mean that the switch is not over; they are reported beside the others
    weighed = evaluate.evaluate([sign for sign in signs if sign.indicates != ()], requested, nodes)
    waits = [_clause(sign) for sign in signs if sign.indicates == ()]
    reason = "; ".join(filter(None, (weighed.reason, *waits))) or "no reason is known"
    return Pending(found, reason) if nodes else Impossible(found, reason)


def wait_for_proof(
    observe: Callable[[], Sequence[Sign]],
    judge: Callable[[Sequence[Sign]], Judgement],
    timeout_s: float,
    report: Callable[[str], None],
) -> ProvenEvidence:
    """Observe until the judgement is final or time is up.

    No observation begins after `timeout_s`. `report`: called with what is missing, each time that it changes.

    Raises:
        UnprovenError: it can't become proven, or did not in time.
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
            report(f"not settled: {last}")
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
    if isinstance(judgement, Impossible):  # the reason is enough; the signs are in the document
        raise UnprovenError(judgement.reason, signs, judgement.proof, final=True)
    waited = f"not within {timeout_s:g} s: {judgement.reason} (seen: {_seen(signs)})"
    raise UnprovenError(waited, signs, judgement.proof, final=False)


def _clause(sign: Sign) -> str:
    what = "" if sign.looked_at in {WAITING, FOR_GOOD} else f"{sign.looked_at}: "
    return f"{sign.node}: {what}{sign.seen}"


def _seen(signs: Sequence[Sign]) -> str:
    return "; ".join(f"{sign.node}: {sign.looked_at}: {sign.seen}" for sign in signs) or "no sign at all"
