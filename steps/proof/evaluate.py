"""What a list of signs says about the dataplane that carried the traffic: pure, and failing closed."""

from collections.abc import Iterable, Sequence

from steps.catalogue.dataplanes import Arm
from steps.domain import Proof, Sign


def evaluate(signs: Sequence[Sign], asked: str, nodes: Iterable[str]) -> Proof:
    """Weigh the signs of one moment.

    Proven: every measured node is pinned by its signs to one dataplane, the same on all, and it is the one asked for.
    Disproven: a sign, on whatever node, doesn't agree with the one asked for. Otherwise unproven.
    `observed` is what the signs pin every measured node to, whether or not it was asked for; the question never enters.

    Args:
        signs: in any order.
        asked: the visit's arm; its label doesn't matter.
        nodes: the measured nodes.
    """
    name = Arm.parse(asked).name
    pinned = {node: _pinned(signs, node) for node in nodes}
    observed = _only(pinned.values())
    for sign in sorted(signs, key=lambda s: (s.node, s.looked_at, s.seen, s.indicates or ())):
        if sign.indicates is not None and name not in sign.indicates:
            seen = f"{sign.node}: {sign.looked_at}: {sign.seen}"
            instead = ", ".join(sorted(set(sign.indicates)))
            reason = f"{seen}; that is {instead}, not {name}" if instead else f"{seen}; so {name} is not proven"
            return Proof(state="disproven", observed=observed, reason=reason)
    if observed == name:
        return Proof(state="proven", observed=observed, reason=None)
    return Proof(state="unproven", observed=observed, reason=_missing(pinned, name))


def _pinned(signs: Sequence[Sign], node: str) -> frozenset[str] | None:
    telling = [frozenset(s.indicates) for s in signs if s.node == node and s.indicates is not None]
    return frozenset.intersection(*telling) if telling else None


def _only(candidates: Iterable[frozenset[str] | None]) -> str | None:
    found = set(candidates)
    if len(found) != 1:
        return None
    (names,) = found
    return next(iter(names)) if names is not None and len(names) == 1 else None


def _missing(pinned: dict[str, frozenset[str] | None], name: str) -> str:
    if not pinned:
        return f"{name} can't be proven: no measured node is named"
    parts = []
    for node, names in sorted(pinned.items()):
        if names is None:
            parts.append(f"{node} shows no telling sign")
        elif len(names) > 1:
            parts.append(f"{node} could be {' or '.join(sorted(names))}")
    return f"{name} is not proven: {'; '.join(parts)}"
