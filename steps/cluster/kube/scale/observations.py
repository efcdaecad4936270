"""One change as one node saw it, and what all those of a trial come to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from steps.cluster.kube.scale.api_load import quantile
from steps.tools.programming import Times

_FOR_A_PERCENTILE: Final = 100
"""Observations below which there is no 99th percentile."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One change as one node saw it.

    Attributes:
        node: its name.
        seconds: from the change; None: the node had not followed in time.
        bound_s: by how much the clocks that this rests on may differ.
    """

    node: str
    seconds: float | None
    bound_s: float


def times(found: Sequence[Observation], duration_s: float) -> Times:
    """The figures of a trial. A change that a node never followed is later than all others.

    Args:
        found: its observations.
        duration_s: of all of it.
    """
    observed = [each.seconds for each in found if each.seconds is not None]
    late = sorted(inf if each.seconds is None else each.seconds for each in found)
    missed = [each for each in found if each.seconds is None]
    return Times(
        p50_s=_finite(quantile(late, 0.5)) if late else None,
        p99_s=_finite(quantile(late, 0.99)) if len(late) >= _FOR_A_PERCENTILE else None,
        worst_s=_finite(late[-1]) if late else None,
        observed=len(observed),
        failed=len(missed),
        duration_s=duration_s,
        seconds=tuple(observed),
        clock_skew_s=max((each.bound_s for each in found), default=0.0),
        error=f"{missed[-1].node} did not follow in time" if missed else None,
    )


def _finite(seconds: float) -> float | None:
    return None if seconds == inf else seconds
