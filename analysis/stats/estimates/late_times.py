"""The times until changes worked, where one that never did is later than all others. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FOR_A_PERCENTILE: Final = 100
"""Observations below which there is no 99th percentile."""


@dataclass(frozen=True, slots=True)
class LateTimes:
    """Nearest-rank percentiles of them, seconds; None where that many never worked, or none was observed.

    `p99_s`: None also below `FOR_A_PERCENTILE` observations.
    """

    p50_s: float | None
    p99_s: float | None
    worst_s: float | None


def late_times(seconds: Sequence[float], missed: int) -> LateTimes:
    """Of single times; `missed` changes never worked."""
    ordered = [*sorted(seconds), *[math.inf] * missed]

    def at(share: float) -> float | None:
        found = ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.inf
        return None if math.isinf(found) else found

    return LateTimes(at(0.5), at(0.99) if len(ordered) >= FOR_A_PERCENTILE else None, at(1.0))
