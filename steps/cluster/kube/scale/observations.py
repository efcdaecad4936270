"""One change as one node saw it, and what all those of a trial come to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.stats.estimates.late_times import late_times
from steps.tools.programming import Times


@dataclass(frozen=True, slots=True)
class ObservedChange:
    """One change as one node saw it.

    Attributes:
        node: its name.
        seconds: from the change; None: the node had not followed in time.
        bound_s: by how much the clocks that this rests on may differ.
    """

    node: str
    seconds: float | None
    bound_s: float


def times(found: Sequence[ObservedChange], duration_s: float) -> Times:
    """The figures of a trial. A change that a node never followed is later than all others.

    `duration_s`: of all of it.
    """
    observed = [each.seconds for each in found if each.seconds is not None]
    missed = [each for each in found if each.seconds is None]
    late = late_times(observed, len(missed))
    return Times(
        p50_s=late.p50_s,
        p99_s=late.p99_s,
        worst_s=late.worst_s,
        observed=len(observed),
        failed=len(missed),
        duration_s=duration_s,
        seconds=tuple(observed),
        clock_skew_s=max((each.bound_s for each in found), default=0.0),
        error=f"{missed[-1].node} did not follow in time" if missed else None,
    )
