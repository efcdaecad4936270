"""What a list of signs proves about the dataplane that carried the traffic. Pure, and fails closed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from analysis.console.excerpts import excerpt
from steps.catalogue.dataplanes import Arm
from steps.domain import Proof, Sign

STAYS: Final = "process"
"""The `looked_at` of a sign that is the same before the first trial and after the last, unless the node's agent started
anew in between, which a log may no longer tell: a busy one is rotated within minutes."""

_LONGEST_REASON: Final = 5_000
"""Characters: a reason names nodes and quotes signs, of which a cluster may have many and a document long ones."""

RESTART: Final = "restart"
"""The `looked_at` of a sign that a node's agent crashed or started anew, at the time when it did."""


def without_earlier_restarts(signs: Iterable[Sign], proven_at: datetime | None) -> list[Sign]:
    """The signs of the look after the last trial without restarts from before the proof, which knew of them.

    The trials' pods are made while the dataplane settles, so an agent may crash after their creation and before the
    proof, which waits until it has run for a while. `proven_at`: None: unknown, all restarts count.
    """
    return [sign for sign in signs if sign.looked_at != RESTART or proven_at is None or sign.at >= proven_at]


def replaced(before: Sequence[Sign], after: Sequence[Sign]) -> str | None:
    """What started anew on a node between the signs of a visit's two moments, a clause; None: nothing that is known."""
    first = {sign.node: sign.seen for sign in before if sign.looked_at == STAYS}
    for sign in after:
        if sign.looked_at == STAYS and first.get(sign.node, sign.seen) != sign.seen:
            then = first[sign.node]
            found = f"{sign.node}: {then} wrote the dataplane before the first trial, and {sign.seen} after the last"
            return excerpt(found, _LONGEST_REASON)
    return None


def evaluate(signs: Sequence[Sign], requested: str, nodes: Iterable[str]) -> Proof:
    """Weigh the signs of one moment.

    Proven: the signs of every measured node agree with one dataplane alone, the same on all, and it is the requested
    one. Disproven: a sign of any node contradicts the requested one. Otherwise unproven. `observed` is the dataplane
    that the signs of every measured node agree with, whichever was requested. `requested`: the visit's arm; its label
    doesn't matter. `nodes`: the measured ones.
    """
    name = Arm.parse(requested).name
    candidates = {node: _candidates(signs, node) for node in nodes}
    observed = _only(candidates.values())
    ordered = sorted(signs, key=lambda s: (s.node, s.looked_at, s.seen, s.indicates or ()))
    for sign in ordered:
        if sign.indicates is not None and name not in sign.indicates:
            seen = f"{sign.node}: {sign.looked_at}: {sign.seen}"
            instead = ", ".join(sorted(set(sign.indicates)))
            reason = f"{seen}; that is {instead}, not {name}" if instead else f"{seen}; so {name} is not proven"
            return Proof(state="disproven", observed=observed, reason=excerpt(reason, _LONGEST_REASON))
    if observed == name:
        return Proof(state="proven", observed=observed, reason=None)
    return Proof(
        state="unproven", observed=observed, reason=excerpt(_missing(candidates, name, ordered), _LONGEST_REASON)
    )


def _candidates(signs: Sequence[Sign], node: str) -> frozenset[str] | None:
    conclusive = [frozenset(s.indicates) for s in signs if s.node == node and s.indicates is not None]
    return frozenset.intersection(*conclusive) if conclusive else None


def _only(candidates: Iterable[frozenset[str] | None]) -> str | None:
    found = set(candidates)
    if len(found) != 1:
        return None
    (names,) = found
    return next(iter(names)) if names is not None and len(names) == 1 else None


def _missing(candidates: dict[str, frozenset[str] | None], name: str, signs: Sequence[Sign]) -> str:
    """What is missing of the proof; of a node where nothing is conclusive, the first sign, which says why."""
    first = {sign.node: f" ({excerpt(f'{sign.looked_at}: {sign.seen}')})" for sign in reversed(signs)}
    if not candidates:
        return f"{name} can't be proven: no measured node is named"
    parts = []
    for node, names in sorted(candidates.items()):
        if names is None:
            parts.append(f"{node} shows no conclusive sign{first.get(node, '')}")
        elif len(names) > 1:
            parts.append(f"{node} could be {' or '.join(sorted(names))}")
    return f"{name} is not proven: {'; '.join(parts)}"
