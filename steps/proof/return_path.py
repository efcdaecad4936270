"""Whether the path of a trial's bytes contradicts the dataplane that was proven by other signs. Pure.

This applies to a path through a NodePort: the interfaces of the NodePort's node are read before and after the trial.
Requests pass that node in every dataplane. Replies pass it as well, unless the dataplane returns them directly.
"""

from collections.abc import Iterable
from typing import Final

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.counters import Counters
from steps.documents import Attempt, TrialDocument
from steps.domain import Trial
from steps.measurement import results
from steps.tools.failure import Failure

LEAST_PAYLOAD_BYTES: Final = 1_000_000
LEAST_RATE_BPS: Final = 50e6
"""Below either the result is inconclusive: other traffic of the node may be as much as the trial's."""

THROUGH_RATIO: Final = 0.9
"""From so many bytes in and out of the node per byte of payload on, the payload went through it. With tunnelled replies
1.00 to 1.07 were measured."""

PAST_RATIO: Final = 0.5
"""With fewer bytes out of the node, on all its interfaces together, the payload did not go through it. Measured with
direct server return: 0.002 to 0.06, which are acknowledgements on their way to the server."""

_LOOPBACK: Final = "lo"
_BITS: Final = 8


def return_path_contradiction(trial: Trial, dataplane: str, document: TrialDocument, attempt: Attempt) -> str | None:
    """Why a trial can't have been measured in this dataplane, as a clause; None: no clear contradiction.

    `dataplane`: the arm that was proven otherwise. `attempt`: the one that counts.
    """
    went = _went(trial, document, attempt)
    known = BY_NAME.get(Arm.parse(dataplane).name)
    if went is None or known is None or known.direct_return is None:
        return None
    through, per_byte = went
    measured = f"the NodePort's node sent {per_byte:.2g} bytes per byte of payload"
    if trial.direction == "forward":
        return None  # requests go through it in every dataplane, see `bypassed`
    if known.direct_return and through:
        return f"{measured}, so the replies went back through it and not directly, as {dataplane} returns them"
    if not known.direct_return and not through:
        return f"{measured}, so the replies did not go back through it, as they do in {dataplane}"
    return None


def bypassed(trial: Trial, document: TrialDocument, attempt: Attempt) -> bool:
    """Whether the requests of a forward trial clearly did not go through the NodePort's node, as they must."""
    went = _went(trial, document, attempt)
    return trial.direction == "forward" and went is not None and not went[0]


def of_siblings(measured: Iterable[tuple[Trial, TrialDocument]], dataplane: str) -> str | None:
    """Why no trial of a visit's path through a NodePort counts, even one without payload; None: they count.

    They don't where every clear measurement of replies in the visit contradicts the dataplane.
    """
    reasons = []
    for trial, document in measured:
        if trial.direction != "reverse" or not document.attempts:
            continue
        attempt = document.attempts[-1]
        if _went(trial, document, attempt) is None:
            continue
        reasons.append(return_path_contradiction(trial, dataplane, document, attempt))
    if not reasons or None in reasons:
        return None
    return f"in another trial of this visit {reasons[0]}"


def _went(trial: Trial, document: TrialDocument, attempt: Attempt) -> tuple[bool, float] | None:
    """Whether the payload went through the NodePort's node, and bytes sent there per byte of it; None: unclear.

    All bytes between the two readings count, the warm-up's too, so that a payload that went through never seems to
    have gone past.
    """
    found = results.read_results(trial, attempt)
    name = document.placement.nat_interface
    if isinstance(found, Failure) or name is None or len(attempt.nat) != 2:  # noqa: PLR2004 - before and after
        return None
    bps = results.payload_bps(found) or 0.0
    payload_bytes = bps * found.duration_s / _BITS
    if payload_bytes < LEAST_PAYLOAD_BYTES or bps < LEAST_RATE_BPS:
        return None
    moved = _moved(*attempt.nat)
    if name not in moved:
        return None
    sent = moved[name][0] / payload_bytes
    sent_anywhere = sum(each[0] for each in moved.values()) / payload_bytes
    received_anywhere = sum(each[1] for each in moved.values()) / payload_bytes
    if sent >= THROUGH_RATIO and received_anywhere >= THROUGH_RATIO:
        return True, sent
    if sent_anywhere < PAST_RATIO:
        return False, sent_anywhere
    return None


def _moved(before: Counters, after: Counters) -> dict[str, tuple[int, int]]:
    """Bytes sent and received on each interface between two readings, except interfaces that were recreated."""
    found = {}
    for name, then in before.interfaces.items():
        now = after.interfaces.get(name)
        if name == _LOOPBACK or now is None:
            continue
        sent, received = now.sent_bytes - then.sent_bytes, now.received_bytes - then.received_bytes
        if sent >= 0 and received >= 0:
            found[name] = (sent, received)
    return found
