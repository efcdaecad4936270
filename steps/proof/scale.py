"""Change the scale of a cluster, and wait until what was asked for is counted on each measured node."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from analysis.errors import Problem
from steps.catalogue.factors import Scale
from steps.documents import ScaleChange
from steps.domain import Change, ScaleSign
from steps.polling import poll

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0


def change_scale(
    begun: ScaleChange,
    change: Callable[[Scale], Sequence[Change]],
    count: Callable[[Scale], Sequence[ScaleSign]],
    timeout_s: float,
    report: Callable[[str], None],
) -> ScaleChange:
    """Make a scale and prove it; where that fails, the document says why.

    `begun`: the document so far, with the scale that is wanted. `count`: counts it on the nodes, once; no count begins
    `timeout_s` after the call. `report`: called with a sentence when it is done.
    """
    began = time.monotonic()
    changes: Sequence[Change] = ()
    signs: Sequence[ScaleSign] = ()
    try:
        changes = change(begun.scale)
        changed = time.monotonic()
        signs = poll(
            lambda: count(begun.scale),
            lambda found: not missing(found),
            pause_s=_FIRST_PAUSE_S,
            longest_pause_s=_LONGEST_PAUSE_S,
            timeout_s=max(0.0, timeout_s - (changed - began)),
        )
    except Problem as problem:
        report(f"{begun.scale.words}: {problem}")
        return begun.model_copy(update={"changes": tuple(changes), "error": str(problem)})
    counted = time.monotonic()
    error = f"not within {timeout_s:g} s: {lacking}" if (lacking := missing(signs)) else None
    report(f"{begun.scale.words}: {error or f'made in {changed - began:.2f} s, counted in {counted - changed:.2f} s'}")
    found = {"changes": tuple(changes), "signs": tuple(signs), "change_s": changed - began}
    return begun.model_copy(update={**found, "count_s": counted - changed, "error": error})


def begin(scale: Scale, position: int) -> ScaleChange:
    """The document of a change that begins now, before the trial at a position of its visit."""
    return ScaleChange(scale=scale, position=position, started_at=datetime.now(UTC))


def missing(signs: Sequence[ScaleSign]) -> str:
    """What the nodes lack of a scale, as a clause; empty if nothing."""
    return "; ".join(f"{sign.node}: {sign.looked_at}: {sign.seen}" for sign in signs if sign.holds is False)


def fault(changes: Sequence[ScaleChange], scale: Scale, position: int) -> str | None:
    """Why a trial at a position of its visit was not measured at a scale that was proven, a clause; None: it was.

    `changes`: of the visit, the first scale before the others; of two at one position the later counts.
    """
    reached = [change for change in reversed(changes) if change.position <= position]
    last = max(reached, key=_position, default=None)
    if last is None or last.scale != scale:
        return f"the step that changes the scale ended before {scale.words}"
    return None if last.error is None else f"{scale.words} was not proven: {last.error}"


def _position(change: ScaleChange) -> int:
    return change.position
